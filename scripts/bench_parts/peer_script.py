"""What a user would write: paho, Pillow and LiteRT in forty lines, inferring in the network callback."""

from __future__ import annotations

import io
import json
import sys

import numpy as np
import paho.mqtt.client as mqtt
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

port, model = int(sys.argv[1]), sys.argv[2]
interpreter = Interpreter(model_path=model)
interpreter.allocate_tensors()
source = interpreter.get_input_details()[0]["index"]
target = interpreter.get_output_details()[0]["index"]


def on_connect(client: mqtt.Client, *_: object) -> None:
    client.subscribe("bench/+/frame", 0)


def on_message(client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
    picture = Image.open(io.BytesIO(message.payload)).convert("RGB").resize((224, 224))
    interpreter.set_tensor(source, np.asarray(picture)[None])
    interpreter.invoke()
    scores = interpreter.get_tensor(target)[0]
    best = int(scores.argmax())
    properties = dict(getattr(message.properties, "UserProperty", []))
    answer = {"frame": {"id": properties.get("id", "")}, "class": best, "score": float(scores[best]) / 256}
    client.publish("gw/script/results/x/y", json.dumps(answer))


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
client.on_connect = on_connect
client.on_message = on_message
client.on_subscribe = lambda *_: print("ready", flush=True)
client.connect("127.0.0.1", port)
client.loop_forever()
