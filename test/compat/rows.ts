// The rows of the Engine API that clients lean on, as requests. A row's requests go to both engines in this order; what
// one makes, a later one of the row takes away, so that rows do not see each other.
export interface Step {
  /**
   * Method and path. `{name}` stands for what an earlier step kept under this name,
   * `{name:12}` for its beginning.
   */
  readonly at: string;
  readonly json?: unknown;
  readonly body?: Uint8Array | string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** The answer's Id (or ID) is kept under this name. */
  readonly keep?: string;
  /** Paths of the answer whose value counts, not its type alone. */
  readonly values?: RegExp;
}

export interface Row {
  readonly name: string;
  readonly version: string;
  readonly steps: readonly Step[];
}

export const DEFAULT_VERSION = '1.41'; // the newest that Debian's engine speaks

export const row = (name: string, ...steps: readonly (Step | string | readonly Step[])[]): Row => ({
  name,
  version: DEFAULT_VERSION,
  steps: steps.flatMap(stepsOf),
});

function stepsOf(step: Step | string | readonly Step[]): readonly Step[] {
  if (typeof step === 'string') return [{ at: step }];
  return isStep(step) ? [step] : step;
}

const isStep = (step: Step | readonly Step[]): step is Step => !Array.isArray(step);

export const SLEEP = { Image: 'bb', Cmd: ['sleep', '1000'] };

/** A container that runs, made under this name. */
export const running = (name: string, config: object = {}): readonly Step[] => [
  { at: `POST /containers/create?name=${name}`, json: { ...SLEEP, ...config }, keep: name },
  { at: `POST /containers/${name}/start` },
];

/** A container that has run to its end. */
export const ended = (name: string, script: string, config: object = {}): readonly Step[] => [
  {
    at: `POST /containers/create?name=${name}`,
    json: { Image: 'bb', Cmd: ['sh', '-c', script], ...config },
    keep: name,
  },
  { at: `POST /containers/${name}/start` },
  { at: `POST /containers/${name}/wait` },
];

export const removed = (...names: readonly string[]): readonly Step[] =>
  names.map((name) => ({ at: `DELETE /containers/${name}?force=1&v=1` }));
