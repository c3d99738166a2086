"""What a distribution's core metadata say of its licence, as an SPDX expression where they say so much.

`License-Expression` (PEP 639) is one. Of old, metadata have classifiers and a free text. A classifier counts
only where it names one SPDX licence: `BSD License` names four. A text counts where it is an SPDX expression,
or the whole of it is the name of a licence as people write it; it is not compared with the licences' texts.

See https://packaging.python.org/specifications/core-metadata/ and https://spdx.org/licenses/
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

from license_expression import ExpressionError, Licensing, get_spdx_licensing
from packaging.metadata import parse_email
from packaging.utils import canonicalize_name
from packaging.version import Version

from dmz.promotion.wording import printable

_CLASSIFIER: Final = "License :: "
_TEXT: Final = 300
"""Characters of a free text that are kept: enough for a person to see what it is."""
_EXPRESSION: Final = 1000
"""Characters of the longest text that may be an expression."""
_OWN: Final = re.compile(r"LicenseRef-[A-Za-z0-9.-]+")

# The trove classifiers that name one licence of https://spdx.org/licenses/, without their common beginning.
_CLASSIFIERS: Final = {
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "OSI Approved :: Blue Oak Model License (BlueOak-1.0.0)": "BlueOak-1.0.0",
    "OSI Approved :: Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "OSI Approved :: CEA CNRS Inria Logiciel Libre License, version 2.1 (CeCILL-2.1)": "CECILL-2.1",
    "OSI Approved :: Common Development and Distribution License 1.0 (CDDL-1.0)": "CDDL-1.0",
    "OSI Approved :: Eclipse Public License 1.0 (EPL-1.0)": "EPL-1.0",
    "OSI Approved :: Eclipse Public License 2.0 (EPL-2.0)": "EPL-2.0",
    "OSI Approved :: European Union Public Licence 1.1 (EUPL 1.1)": "EUPL-1.1",
    "OSI Approved :: European Union Public Licence 1.2 (EUPL 1.2)": "EUPL-1.2",
    "OSI Approved :: GNU Affero General Public License v3": "AGPL-3.0-only",
    "OSI Approved :: GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "OSI Approved :: GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "OSI Approved :: GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "OSI Approved :: GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "OSI Approved :: GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "OSI Approved :: GNU Lesser General Public License v2 (LGPLv2)": "LGPL-2.0-only",
    "OSI Approved :: GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "OSI Approved :: GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "OSI Approved :: ISC License (ISCL)": "ISC",
    "OSI Approved :: MIT License": "MIT",
    "OSI Approved :: MIT No Attribution License (MIT-0)": "MIT-0",
    "OSI Approved :: Mozilla Public License 1.0 (MPL)": "MPL-1.0",
    "OSI Approved :: Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
    "OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "OSI Approved :: Mulan Permissive Software License v2 (MulanPSL-2.0)": "MulanPSL-2.0",
    "OSI Approved :: NASA Open Source Agreement v1.3 (NASA-1.3)": "NASA-1.3",
    "OSI Approved :: Python Software Foundation License": "PSF-2.0",
    "OSI Approved :: SIL Open Font License 1.1 (OFL-1.1)": "OFL-1.1",
    "OSI Approved :: The Unlicense (Unlicense)": "Unlicense",
    "OSI Approved :: Universal Permissive License (UPL)": "UPL-1.0",
    "OSI Approved :: University of Illinois/NCSA Open Source License": "NCSA",
    "OSI Approved :: W3C License": "W3C",
    "OSI Approved :: Zero-Clause BSD (0BSD)": "0BSD",
    "OSI Approved :: zlib/libpng License": "Zlib",
    "OSI Approved :: Zope Public License": "ZPL-2.1",
}

# Names as people write them, by their letters and digits alone.
_NAMES: Final = {
    "Apache-2.0": (
        *("apache2", "apache20", "apachelicense2", "apachelicense20", "apachelicenseversion20", "apachev2"),
        *("apache2license", "apache20license", "apachesoftwarelicense20", "asl20", "apachelicensev20"),
        "apachesoftwarelicenseversion20",
    ),
    "BSD-2-Clause": ("bsd2clause", "2clausebsd", "2clausebsdlicense", "simplifiedbsd", "bsd2clauselicense"),
    "BSD-3-Clause": (
        *("bsd3clause", "3clausebsd", "3clausebsdlicense", "newbsd", "newbsdlicense", "modifiedbsd"),
        *("bsd3", "bsd3clauselicense", "modifiedbsdlicense", "bsd3clausenewlicense"),
    ),
    "ISC": ("isclicense",),
    "MIT": ("mitlicense", "themitlicense", "themitlicensemit", "mitlicence", "expat", "expatlicense"),
    "MPL-2.0": ("mpl2", "mpl20", "mozillapubliclicense20", "mozillapubliclicenseversion20"),
    "PSF-2.0": ("psf2", "psflicense20"),
    "Unlicense": ("theunlicense",),
}
_BY_NAME: Final = {name: spdx for spdx, names in _NAMES.items() for name in names}


@dataclass(frozen=True)
class Licence:
    """What is said of a licence."""

    expression: str | None
    """SPDX, in its normal form; None: nothing that a program may rely on."""
    text: str = ""
    """What the metadata have instead, for a person; one line."""


@dataclass(frozen=True)
class Metadata:
    """What the rules need of a distribution's core metadata."""

    name: str
    """Normalised; empty if they have none."""
    version: str
    licence: Licence

    def of(self, name: str, version: str) -> bool:
        """Whether they are of this distribution and version."""
        try:
            return self.name == name and Version(self.version) == Version(version)
        except ValueError:  # too many digits raise one of their own
            return False


def read(data: bytes) -> Metadata:
    """Core metadata, whatever the bytes are: many published ones break some rule of their format."""
    raw, _ = parse_email(data)
    return Metadata(
        canonicalize_name(raw.get("name", "")),
        raw.get("version", ""),
        licence(raw.get("license_expression", ""), raw.get("classifiers", []), raw.get("license", "")),
    )


def licence(expression: str, classifiers: Iterable[str], text: str) -> Licence:
    """The licence by the three fields that metadata have for it.

    Several classifiers don't say whether one may choose: all of them hold, which is the stricter reading. One
    that names no single licence makes what the others say incomplete.
    """
    if found := spdx(expression):
        return Licence(found)
    said = [each.removeprefix(_CLASSIFIER) for each in classifiers if each.startswith(_CLASSIFIER)]
    # This one only announces others.
    named = sorted({each for each in said if each != "OSI Approved"})
    if named and all(each in _CLASSIFIERS for each in named):
        return Licence(spdx(" AND ".join(sorted({_CLASSIFIERS[each] for each in named}))))
    if found := spdx(text) or _BY_NAME.get(re.sub(r"[^a-z0-9]", "", text.lower())):
        return Licence(found)
    return Licence(None, printable(expression or text or ", ".join(named), _TEXT))


def spdx(text: str) -> str | None:
    """An SPDX expression in its normal form; None if the text is none, or names a licence that SPDX lacks.

    A licence of the publisher's own, `LicenseRef-NAME`, may stand in it.

    See https://spdx.github.io/spdx-spec/v2.3/SPDX-license-expressions/
    """
    if not text.strip() or len(text) > _EXPRESSION:
        return None
    try:
        parsed = _licensing().parse(text, strict=True)
        unknown = _licensing().unknown_license_keys(parsed)
        return str(parsed) if all(_OWN.fullmatch(key) for key in unknown) else None
    except (ExpressionError, ValueError, RecursionError):
        return None


@cache
def _licensing() -> Licensing:
    return get_spdx_licensing()
