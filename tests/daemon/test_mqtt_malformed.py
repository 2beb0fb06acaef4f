"""Two thousand damaged requests over a real broker: each is answered, and nothing is left."""

from __future__ import annotations

import asyncio
import json
import random

from gateway.mqtt.message import PublishProperties
from tests.broker import Broker
from tests.daemon.broker_requests import INFER, REPLIES, body, porch

COUNT, BATCH = 2000, 100
SEED = 20_251_126


def damaged(dice: random.Random, number: int) -> tuple[bytes, PublishProperties]:
    """Return a request with bytes changed, cut, doubled or made up, and properties that may not fit."""
    whole = bytearray(body(*(dice.randrange(-9, 9) for _ in range(4)), id=str(dice.random())))
    match dice.randrange(5):
        case 0:
            whole = whole[: dice.randrange(len(whole))]
        case 1:
            for _ in range(dice.randrange(1, 6)):
                whole[dice.randrange(len(whole))] = dice.randrange(256)
        case 2:
            at = dice.randrange(len(whole))
            whole[at:at] = whole[dice.randrange(len(whole)) :]
        case 3:
            whole = bytearray(dice.randbytes(dice.randrange(200)))
        case _:
            pass
    user = {}
    if dice.random() < 0.4:
        user["inference-header-content-length"] = dice.choice(
            ["0", "-1", "", "1e3", str(dice.randrange(300)), "9" * 12]
        )
    kind = dice.choice(["", "", "application/json", "application/octet-stream", "text/html", "x"])
    return bytes(whole), PublishProperties(kind, user, b"%d" % number, REPLIES)


def test_every_damaged_request_is_answered_and_nothing_is_left(broker: Broker) -> None:
    async def scenario() -> None:
        dice = random.Random(SEED)
        async with porch(broker.url, most=2 * BATCH) as place:
            tasks = len(asyncio.all_tasks())
            for sent in range(BATCH, COUNT + 1, BATCH):
                for number in range(sent - BATCH, sent):
                    payload, properties = damaged(dice, number)
                    place.client.publish(INFER, payload, 0, retain=False, properties=properties)
                await place.answers(sent)
            assert {message.correlation for message in place.replies.messages} == {
                b"%d" % number for number in range(COUNT)
            }
            labels = {
                json.loads(message.payload)["label"]
                for message in place.replies.messages
                if "error" in message.properties
            }
            assert labels
            assert all(label.startswith("refused.") for label in labels)
            answered = [message for message in place.replies.messages if "error" not in message.properties]
            assert 0 < len(answered) < COUNT
            assert place.count("answered") == len(answered)
            assert len(asyncio.all_tasks()) == tasks
            assert place.pending() == 0

    asyncio.run(scenario())
