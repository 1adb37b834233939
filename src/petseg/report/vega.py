"""Writes the scripts of DVC's plots page to .dvc/vega.js, so that `dvc plots show` works offline.

    python -m petseg.report.vega

DVC's own page loads Vega from a CDN. `.dvc/page.html` uses `.dvc/vega.js` if it exists.
"""

from pathlib import Path

from petseg.runtime.files import write_text

TARGET = Path(".dvc/vega.js")


def main() -> None:
    """Writes Vega, Vega-Lite and Vega-Embed, which vl-convert-python bundles, as one script."""
    import vl_convert

    # A classic script in braces: pages opened from disk may not load modules, and braces keep its names local.
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    write_text(TARGET, "{" + bundle + "}\n")


if __name__ == "__main__":
    main()
