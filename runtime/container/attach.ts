// Attached clients. One may come before the container runs: it is connected when the next run has been launched, before
// its command starts, so nothing is lost.
import { CodedError } from '../../base/errors.ts';
import type { AttachedStdio, OutputFrame, ShimProcess } from '../native/contract.ts';

export interface AttachOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

type Attachable = Pick<ShimProcess, 'attach'>;

const PENDING_MAX = 1_000;

export class AttachPoint {
  #process: Attachable | undefined;
  readonly #pending = new Set<PendingStdio>();
  readonly #stdinOnce: boolean;

  constructor(options: { stdinOnce: boolean }) {
    this.#stdinOnce = options.stdinOnce;
  }

  async attach(options: AttachOptions): Promise<AttachedStdio> {
    if (this.#process) return this.#shared(await this.#process.attach(options), options);
    if (this.#pending.size >= PENDING_MAX)
      throw new CodedError('exhausted', `more than ${PENDING_MAX} clients are attached`);
    const pending: PendingStdio = new PendingStdio(options, () => this.#pending.delete(pending));
    this.#pending.add(pending);
    return this.#shared(pending, options);
  }

  /** A run was launched: all who wait are connected to it. */
  async connect(process: Attachable): Promise<void> {
    this.#process = process;
    const waiting = [...this.#pending];
    this.#pending.clear();
    await Promise.all(waiting.map(async (pending) => pending.connect(await process.attach(pending.options))));
  }

  /** The run is over, or did not come about. */
  disconnect(): void {
    this.#process = undefined;
    for (const pending of this.#pending) pending.connect(undefined);
    this.#pending.clear();
  }

  /** Unless stdin is for one client only, a client's end of input leaves it open for the next. */
  #shared(stdio: AttachedStdio, { stdin }: AttachOptions): AttachedStdio {
    if (!stdin) return stdio;
    const closesStdin = this.#stdinOnce;
    return {
      output: stdio.output,
      write: (bytes) => stdio.write(bytes),
      closeStdin: () => (closesStdin ? stdio.closeStdin() : Promise.resolve()),
      detach() {
        if (closesStdin)
          stdio.closeStdin().then(
            () => stdio.detach(),
            () => stdio.detach(),
          );
        else stdio.detach();
      },
    };
  }
}

class PendingStdio implements AttachedStdio {
  readonly options: AttachOptions;
  readonly output: AsyncIterable<OutputFrame>;
  readonly #connected: Promise<AttachedStdio | undefined>;
  #settle: (stdio: AttachedStdio | undefined) => void = () => undefined;
  readonly #forget: () => void;
  #detached = false;

  constructor(options: AttachOptions, forget: () => void) {
    this.options = options;
    this.#forget = forget;
    this.#connected = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.output = outputOf(this.#connected);
  }

  connect(stdio: AttachedStdio | undefined): void {
    if (this.#detached) stdio?.detach();
    this.#settle(this.#detached ? undefined : stdio);
  }

  async write(bytes: Uint8Array): Promise<void> {
    await (await this.#connected)?.write(bytes);
  }

  async closeStdin(): Promise<void> {
    await (await this.#connected)?.closeStdin();
  }

  detach(): void {
    this.#detached = true;
    this.#forget();
    this.#settle(undefined);
    void this.#connected.then((stdio) => stdio?.detach());
  }
}

async function* outputOf(connected: Promise<AttachedStdio | undefined>): AsyncGenerator<OutputFrame, void, void> {
  const stdio = await connected;
  if (stdio) yield* stdio.output;
}
