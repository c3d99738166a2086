"""What knows of problems besides the advisories, a file each, behind `dmz.promotion.evidence.Source`."""
