"""Lays the scripts of DVC's plots page beside it, so that `dvc plots show` works without a network.

    python -m petseg.report.vega

DVC's own page loads Vega from a CDN; `.dvc/page.html` looks for `.dvc/vega.js` first.
"""

from pathlib import Path

from petseg.runtime.files import write_text

TARGET = Path(".dvc/vega.js")


def main() -> None:
    """Writes Vega, Vega-Lite and Vega-Embed, bundled in vl-convert-python, as one classic script."""
    import vl_convert

    # A classic script, since a page opened from disk may not load modules; braces keep its names to itself.
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    write_text(TARGET, "{" + bundle + "}\n")


if __name__ == "__main__":
    main()
