"""The media type of a file, by the end of its name: the same on every machine, since it asks no file of the system.

The names are registered with IANA, or every browser takes them. Text is UTF-8, as the standards of HTML, CSS and
JavaScript, and most authors of such files today, have it. XML, and so SVG, name their coding themselves.
"""

from __future__ import annotations

from typing import Final

#: The type of a file whose name tells nothing: a browser saves it, and does not guess (RFC 9110, section 8.3).
UNKNOWN: Final = "application/octet-stream"

_TEXT: Final = "; charset=utf-8"
_TYPES: Final[dict[str, str]] = {
    # Text
    "css": f"text/css{_TEXT}",
    "csv": f"text/csv{_TEXT}",
    "htm": f"text/html{_TEXT}",
    "html": f"text/html{_TEXT}",
    "ics": f"text/calendar{_TEXT}",
    "js": f"text/javascript{_TEXT}",
    "log": f"text/plain{_TEXT}",
    "md": f"text/markdown{_TEXT}",
    "mjs": f"text/javascript{_TEXT}",
    "rst": f"text/plain{_TEXT}",
    "tsv": f"text/tab-separated-values{_TEXT}",
    "txt": f"text/plain{_TEXT}",
    "vcf": f"text/vcard{_TEXT}",
    "vtt": f"text/vtt{_TEXT}",
    # Data
    "atom": "application/atom+xml",
    "geojson": "application/geo+json",
    "json": "application/json",
    "jsonld": "application/ld+json",
    "map": "application/json",
    "rdf": "application/rdf+xml",
    "rss": "application/rss+xml",
    "wasm": "application/wasm",
    "webmanifest": "application/manifest+json",
    "xhtml": "application/xhtml+xml",
    "xml": "application/xml",
    "xsl": "application/xslt+xml",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    # Pictures
    "apng": "image/apng",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "gif": "image/gif",
    "heic": "image/heic",
    "ico": "image/vnd.microsoft.icon",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "jxl": "image/jxl",
    "png": "image/png",
    "svg": "image/svg+xml",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "webp": "image/webp",
    # Sound and film
    "aac": "audio/aac",
    "flac": "audio/flac",
    "m3u8": "application/vnd.apple.mpegurl",
    "m4a": "audio/mp4",
    "m4v": "video/mp4",
    "mid": "audio/midi",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "mpd": "application/dash+xml",
    "mpeg": "video/mpeg",
    "mpg": "video/mpeg",
    "oga": "audio/ogg",
    "ogg": "audio/ogg",
    "ogv": "video/ogg",
    "opus": "audio/ogg",
    "ts": "video/mp2t",
    "wav": "audio/wav",
    "weba": "audio/webm",
    "webm": "video/webm",
    # Fonts
    "eot": "application/vnd.ms-fontobject",
    "otf": "font/otf",
    "ttc": "font/collection",
    "ttf": "font/ttf",
    "woff": "font/woff",
    "woff2": "font/woff2",
    # Documents
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "epub": "application/epub+zip",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odt": "application/vnd.oasis.opendocument.text",
    "pdf": "application/pdf",
    "ppt": "application/vnd.ms-powerpoint",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "ps": "application/postscript",
    "rtf": "application/rtf",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    # Archives
    "7z": "application/x-7z-compressed",
    "br": UNKNOWN,
    "bz2": "application/x-bzip2",
    "gz": "application/gzip",
    "jar": "application/java-archive",
    "tar": "application/x-tar",
    "tgz": "application/gzip",
    "whl": "application/zip",
    "xz": "application/x-xz",
    "zip": "application/zip",
    "zst": "application/zstd",
}


def media_type(name: str) -> str:
    """Return the value of Content-Type for a file called `name`."""
    _, dot, end = name.rpartition(".")
    return _TYPES.get(end.lower(), UNKNOWN) if dot else UNKNOWN
