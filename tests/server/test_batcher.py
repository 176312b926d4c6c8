import asyncio

import numpy as np
import pytest

pytest.importorskip("fastapi")

from asking import make_analyzer, make_app, png, until, with_client

from facetell.runtime.analyzer import Analyzer
from facetell.runtime.session import BATCH
from facetell.server.batcher import Batcher
from facetell.server.refusal import Refused
from facetell.server.settings import Settings
from facetell.server.uploads import Upload


def uploads(count: int, faces: int = 1) -> list[Upload]:
    return [Upload(str(i), png(i, faces)) for i in range(count)]


def test_requests_that_wait_for_the_model_share_its_next_call():
    analyzer = make_analyzer()
    batcher = Batcher(analyzer, Settings())
    analyzer.model.open.clear()

    async def run():
        first = asyncio.create_task(batcher.read(uploads(1)))
        await until(lambda: batcher._scoring)
        rest = [asyncio.create_task(batcher.read([one])) for one in uploads(20)]
        await until(lambda: len(batcher._ready) == 20)
        analyzer.model.open.set()
        return await first, await asyncio.gather(*rest)

    _, rest = asyncio.run(run())
    assert analyzer.model.batches == [1, 20]
    assert [readings[0].source for readings in rest] == [str(i) for i in range(20)]
    assert batcher.images == 0


def test_a_batch_has_no_more_faces_than_the_model_takes_at_once():
    analyzer = make_analyzer()
    batcher = Batcher(analyzer, Settings())
    analyzer.model.open.clear()

    async def run():
        work = asyncio.create_task(batcher.read(uploads(20, faces=10)))
        await until(lambda: len(batcher._ready) >= 14)  # the first call took up to 6
        analyzer.model.open.set()
        return await work

    assert all(len(reading.faces) == 10 for reading in asyncio.run(run()))
    assert sum(analyzer.model.batches) == 200
    assert max(analyzer.model.batches) == BATCH // 10 * 10
    assert len(asyncio.run(batcher.read(uploads(1, faces=90)))[0].faces) == 90


def test_scores_are_the_same_alone_and_among_many_clients(tiny_model_path):
    analyzer = Analyzer(tiny_model_path, detector="none", threads=1)
    images = [png(i) for i in range(24)]
    alone = [analyzer.read(image) for image in images]
    app = make_app(analyzer)

    async def use(client):
        return await asyncio.gather(
            *(
                client.post("/v1/read", content=image, headers={"content-type": "image/png"})
                for image in images
            )
        )

    for answer, reading in zip(with_client(app, use), alone, strict=True):
        (face,), (expected,) = answer.json()["faces"], reading.faces
        assert face["label"] == expected.label
        assert face["scores"] == pytest.approx(expected.scores, abs=1e-6)
        assert face["margins"] == pytest.approx(expected.margins, abs=1e-5)


def test_a_model_that_fails_is_heard_of_by_its_batch_and_goes_on_after():
    analyzer = make_analyzer()
    batcher = Batcher(analyzer, Settings())
    predict = analyzer.model.predict

    def fail(faces: np.ndarray):
        raise RuntimeError("out of order")

    async def run():
        analyzer.model.predict = fail
        failed = await asyncio.gather(
            batcher.read(uploads(3)), batcher.read(uploads(1)), return_exceptions=True
        )
        analyzer.model.predict = predict
        return failed, await batcher.read(uploads(2))

    failed, after = asyncio.run(run())
    assert [str(error) for error in failed] == ["out of order"] * 2
    assert [len(reading.faces) for reading in after] == [1, 1]
    assert batcher.images == 0


def test_other_work_takes_its_place_in_the_queue():
    batcher = Batcher(make_analyzer(), Settings(max_queue_images=1, max_images=1))

    async def run():
        inside = await batcher.run(lambda: batcher.images)
        with pytest.raises(Refused, match="at most 1 images at a time") as refused:
            await asyncio.gather(batcher.run(lambda: 1), batcher.run(lambda: 2))
        await until(lambda: batcher.images == 0)
        return inside, refused.value.status

    assert asyncio.run(run()) == (1, 503)
