"""Package DMZ: screened packages for a Google Cloud project that has no way out."""
