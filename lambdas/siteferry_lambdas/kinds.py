"""What kind of file a name promises, by its extension. No I/O, and no system table: pages are deterministic."""

from typing import Final

FOLDER: Final = "folder"
OTHER: Final = "file"

WORDS: Final = {
    FOLDER: "Folder",
    "archive": "Archive",
    "audio": "Audio",
    "code": "Code",
    "data": "Data",
    "document": "Document",
    "font": "Font",
    "image": "Image",
    "page": "Web page",
    "pdf": "PDF",
    "program": "Program",
    "text": "Text",
    "video": "Video",
    OTHER: "File",
}
"""What each kind is called on a page."""

_EXTENSIONS: Final = {
    "archive": "7z apk br bz2 cab cpio dmg gz img iso jar lz lz4 lzma rar tar tbz tgz txz war whl xz z zip zst",
    "audio": "aac aif aiff flac m3u m3u8 m4a mid midi mka mp3 oga ogg opus wav weba wma",
    "code": (
        "awk bash bat c cc cgi cjs clj cpp cs css cxx dart diff erl ex f90 go h hpp hs ini java jl js jsx kt less lisp"
        " lua m mjs ml nix patch php pl pm ps1 py r rb rs scala scss sh sql svelte swift tcl tf toml ts tsx vb vim vue"
        " yaml yml zig"
    ),
    "data": (
        "atom bib csv db dbf geojson gpx hdf5 ics json jsonl kml map nc ndjson npy npz ods parquet rdf rss shp sqlite"
        " tsv vcf wasm xls xlsm xlsx xml xsd xsl"
    ),
    "document": "doc docm docx dot dotx dvi eps epub mobi numbers odg odp odt pages pot potx pps ppsx ppt pptx ps rtf",
    "font": "eot otf pfb ttc ttf woff woff2",
    "image": (
        "ai apng arw avif bmp cr2 dng gif heic heif ico j2k jfif jp2 jpe jpeg jpg jxl nef pbm pgm png pnm ppm psd raw"
        " svg svgz tga tif tiff webp xcf"
    ),
    "page": "htm html mhtml shtml xht xhtml",
    "pdf": "pdf",
    "program": "appimage bin deb dll elf exe flatpak msi msix pkg rpm run snap so",
    "text": "1st adoc asc cfg conf log lst man markdown md me nfo pem rst sig srt tex text txt vtt",
    "video": "3gp asf avi flv m2ts m4v mkv mov mp4 mpe mpeg mpg mts ogv qt vob webm wmv",
}
_KINDS: Final = {extension: kind for kind, listed in _EXTENSIONS.items() for extension in listed.split()}
_TEXTS: Final = frozenset(
    ("authors", "changelog", "changes", "copying", "license", "makefile", "news", "readme", "todo")
)


def kind_of(name: str) -> str:
    """Give the kind of a file, one of `WORDS`."""
    _, dot, extension = name.lower().rpartition(".")
    if not dot and extension in _TEXTS:
        return "text"
    return _KINDS.get(extension, OTHER) if dot else OTHER
