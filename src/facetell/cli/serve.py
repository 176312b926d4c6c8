"""`facetell serve`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from facetell.cli.options import Number, abstain_option, model_option, model_path, sets_option

if TYPE_CHECKING:
    from facetell.runtime.analyzer import Analyzer
    from facetell.server.settings import Settings

__all__ = ["KEY_VARIABLE", "serve"]

#: Environment variable with an API key, where --api-key-file is not given.
KEY_VARIABLE = "FACETELL_API_KEY"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@model_option
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="0.0.0.0: other machines may ask too."
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: a free one."
)
@click.option(
    "--detector",
    type=click.Choice(["centerface", "none"]),
    default="centerface",
    show_default=True,
    help="none: each image is one face already.",
)
@click.option(
    "--detect-side", metavar="PX", type=click.IntRange(64, 8192), default=1280,
    show_default=True, help="Longer side at which images are searched for faces.",
)  # fmt: skip
@sets_option
@abstain_option
@click.option("--threads", metavar="N", type=click.IntRange(1), help="Default: all processors.")
@click.option(
    "--workers", metavar="N", type=click.IntRange(1), default=2, show_default=True,
    help="Images decoded at a time.",
)  # fmt: skip
@click.option(
    "--api-key-file", metavar="FILE", type=Path,
    help=f"Ask clients for the key in its first line; else for that in ${KEY_VARIABLE}, if any.",
)  # fmt: skip
@click.option(
    "--allow-host", metavar="NAME", multiple=True,
    help="Answer this Host header too; '*' for any. Default with --host 0.0.0.0 and the like.",
)  # fmt: skip
@click.option(
    "--allow-origin", metavar="URL", multiple=True, help="Let pages of this site use the server."
)
@click.option(
    "--max-bytes", metavar="N", type=click.IntRange(1), default=32 * 2**20, show_default=True,
    help="Largest request.",
)  # fmt: skip
@click.option(
    "--max-pixels", metavar="N", type=click.IntRange(1), default=40_000_000, show_default=True,
    help="Largest image, judged before it is decoded.",
)  # fmt: skip
@click.option(
    "--max-images", metavar="N", type=click.IntRange(1), default=16, show_default=True,
    help="Most images in a request.",
)  # fmt: skip
@click.option(
    "--max-faces", metavar="N", type=click.IntRange(1), default=100, show_default=True,
    help="Most faces in an image.",
)  # fmt: skip
@click.option(
    "--max-queue", metavar="N", type=click.IntRange(1), default=64, show_default=True,
    help="Images waiting or in work; more are refused with 503.",
)  # fmt: skip
@click.option(
    "--max-live", metavar="N", type=click.IntRange(1), default=8, show_default=True,
    help="Open live connections.",
)  # fmt: skip
@click.option(
    "--timeout", "timeout_s", metavar="S", type=Number(0, min_open=True), default=30.0,
    show_default=True, help="Longest a request may take.",
)  # fmt: skip
@click.option(
    "--static", metavar="DIR", type=Path,
    help="Write the page into DIR, for any web host, and serve nothing.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Let --static replace a page written before.")
def serve(
    model: str,
    host: str,
    port: int,
    detector: Literal["centerface", "none"],
    detect_side: int,
    sets: float | None,
    abstain: float | None,
    threads: int | None,
    static: Path | None,
    force: bool,
    **limits: Any,
) -> None:
    """Read images over HTTP, and show a page that reads faces in the browser, until stopped.

    POST /v1/read takes an image or several and answers with JSON; /v1/live takes a camera's
    frames; /docs lists the rest. The page at / computes in the browser and sends no image
    anywhere; it starts with --sets and --abstain, or with 0.9 and 0.7. Only this machine can
    ask, unless --host says otherwise. Images stay in memory until they are answered, and are
    not stored or logged. SIGTERM or Ctrl+C finishes what is there.

    \b
    Examples:
      facetell serve
      curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' localhost:8000/v1/read
      facetell serve --host 0.0.0.0 --api-key-file key.txt
      facetell serve --static site/
    """
    if static is not None:
        _write_page(static, model, sets=sets, abstain=abstain, force=force)
        return
    from facetell.errors import require
    from facetell.runtime.analyzer import Analyzer
    from facetell.server.static import page_files, page_models

    for module in ("fastapi", "uvicorn", "python_multipart", "websockets", "prometheus_client"):
        require(module, extra="serve", purpose="serving")
    settings = _settings(host, **limits)
    path = model_path(model)
    analyzer = Analyzer(
        path,
        detector=detector,
        detect_side=detect_side,
        threads=threads,
        sets=sets,
        abstain=abstain,
    )
    files = page_files(page_models(path), sets=sets, abstain=abstain)
    _run(analyzer, settings, files, host, port)


def _write_page(folder: Path, model: str, **options: Any) -> None:
    from facetell.server.static import page_models, write_static

    write_static(folder, page_models(model_path(model)), **options)
    _say(f"wrote {folder}")


def _run(
    analyzer: Analyzer, settings: Settings, page: Mapping[str, Path | bytes], host: str, port: int
) -> None:
    from facetell.server.app import create_app
    from facetell.server.running import is_loopback, run

    def greet(url: str) -> None:
        _say(f"serving {analyzer.contract.name} at {url} (for programs: {url}docs)")
        _say("Scores say how a face looks, not what a person feels. EU: prohibited at work and in "
             "education; tell the people exposed to it (AI Act, Art. 5(1)(f), 50(3)).")  # fmt: skip
        if not is_loopback(host) and settings.api_key is None:
            _say("Warning: other machines may be able to ask, and no API key is set. "
                 "Set one with --api-key-file.")  # fmt: skip

    app = create_app(analyzer, settings, page=page)
    run(app, settings, host=host, port=port, on_start=greet)
    _say("stopped")


def _settings(
    host: str,
    *,
    api_key_file: Path | None,
    allow_host: tuple[str, ...],
    allow_origin: tuple[str, ...],
    max_bytes: int,
    max_queue: int,
    **limits: Any,
) -> Settings:
    from facetell.errors import InputError
    from facetell.server.running import is_loopback, read_key
    from facetell.server.settings import Settings

    key = read_key(api_key_file) if api_key_file else os.environ.get(KEY_VARIABLE)
    try:
        return Settings(
            max_body_bytes=max_bytes,
            max_held_bytes=max(Settings.max_held_bytes, max_bytes),
            max_queue_images=max_queue,
            api_key=key,
            hosts=allow_host or (() if is_loopback(host) else ("*",)),
            origins=allow_origin,
            **limits,
        )
    except InputError as error:
        raise click.UsageError(str(error)) from error


def _say(text: str) -> None:
    click.echo(text, err=True)
