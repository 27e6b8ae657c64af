/** What the audio thread has beside the language. */
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
  constructor(options?: unknown);
}
declare const sampleRate: number;
declare const currentFrame: number;
declare function registerProcessor(name: string, type: typeof AudioWorkletProcessor): void;
