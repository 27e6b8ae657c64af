"""What the page plays, sample by sample: a recorder in the audio thread behind the page's player."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

_WORKLET = """
class Recorder extends AudioWorkletProcessor {
  process(inputs) {
    const channels = inputs[0];
    if (channels.length) this.port.postMessage({ frame: currentFrame, channels: channels.map((c) => c.slice()) });
    return true;
  }
}
registerProcessor('test-recorder', Recorder);
"""
_START = """async (player, source) => {
  const { context, node } = player;
  if (!context.hasRecorder) {
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })));
  }
  context.hasRecorder = true;
  const recorder = new AudioWorkletNode(context, 'test-recorder', { numberOfOutputs: 0 });
  window.recorded = [];
  recorder.port.onmessage = ({ data }) => window.recorded.push(data);
  node.connect(recorder);
  window.stopRecorder = () => node.disconnect(recorder);
}"""
_STOP = """() => {
  window.stopRecorder();
  const channels = window.recorded[0].channels.length;
  const samples = new Float32Array(window.recorded.length * 128 * channels);
  window.recorded.forEach(({ channels: block }, i) => block.forEach((samplesOfChannel, c) => {
    samplesOfChannel.forEach((sample, n) => { samples[(i * 128 + n) * channels + c] = sample; });
  }));
  const frames = window.recorded.map(({ frame }) => frame);
  const bytes = new Uint8Array(samples.buffer);
  let text = '';
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return { audio: btoa(text), channels, frames };
}"""


def allow_recorder(page: Any) -> None:
    """Load the page again without its Content-Security-Policy, which does not allow the recorder's module."""

    def strip_policy(route):
        response = route.fetch()
        headers = {name: text for name, text in response.headers.items() if name != "content-security-policy"}
        route.fulfill(response=response, headers=headers)

    page.route(page.url, strip_policy)
    page.reload()


def start_recording(player: Any) -> None:
    """Record a player from now on. player: handle of a `Player` that has a track."""
    player.evaluate(_START, _WORKLET)


def stop_recording(page: Any) -> np.ndarray:
    """What was played, `[frames, channel]`; fails where the audio thread's blocks have a gap."""
    result = page.evaluate(_STOP)
    assert set(np.diff(result["frames"])) <= {128}
    audio = np.frombuffer(base64.b64decode(result["audio"]), np.float32)
    return audio.reshape(-1, result["channels"])
