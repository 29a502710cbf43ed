// What is told of one layer on its way, as the docker client draws it: a line a tenth of a second at most.
import type { Clock } from '../../base/clock.ts';
import type { ProgressLine } from '../image/contract.ts';

const PERIOD_MS = 100;

export class LayerProgress {
  readonly #id: string;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #report: (line: ProgressLine) => void;
  #toldAtMs = -Infinity;

  constructor(digest: string, options: { clock: Pick<Clock, 'monotonicMs'>; report: (line: ProgressLine) => void }) {
    this.#id = digest.slice('sha256:'.length, 'sha256:'.length + 12);
    this.#clock = options.clock;
    this.#report = options.report;
  }

  say(status: string): void {
    this.#report({ status, id: this.#id });
  }

  move(status: string, current: number, total: number): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#toldAtMs < PERIOD_MS && current < total) return;
    this.#toldAtMs = nowMs;
    this.#report({ status, id: this.#id, progress: { current, total } });
  }
}
