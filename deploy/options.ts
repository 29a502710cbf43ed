// The words of `npm start` and `npm stop`.
import { parseArgs } from 'node:util';

export interface Options {
  readonly command: 'start' | 'stop';
  readonly name: string;
  readonly nodeCount: number;
  readonly demo: boolean;
  readonly detach: boolean;
  readonly runDirectory: string;
  readonly stateDirectory: string;
  /** The operator named a state directory: it stays after stop. */
  readonly keepState: boolean;
  readonly program: string;
}

export const NODES_MAX = 9;

/** Throws an Error whose message is a sentence for the person at the terminal. */
export function parseOptions(argv: readonly string[]): Options {
  const [command, ...args] = argv;
  if (command !== 'start' && command !== 'stop') throw new Error('the first word must be start or stop');
  const { values } = parseArgs({
    args,
    options: {
      name: { type: 'string', default: 'shoal' },
      nodes: { type: 'string', default: '3' },
      'no-demo': { type: 'boolean', default: false },
      detach: { type: 'boolean', default: false },
      'run-dir': { type: 'string' },
      'state-dir': { type: 'string' },
      program: { type: 'string', default: '' },
      'state-directory': { type: 'string', default: '' },
    },
  });
  const nodeCount = Number(values.nodes);
  if (!Number.isInteger(nodeCount) || nodeCount < 1 || nodeCount > NODES_MAX) {
    throw new Error(`--nodes '${values.nodes}' must be a whole number from 1 to ${NODES_MAX}`);
  }
  const runDirectory = values['run-dir'] ?? `/run/${values.name}`;
  if (!runDirectory.startsWith('/')) throw new Error(`--run-dir '${runDirectory}' must be an absolute path`);
  // The longest socket below it is a shim's; the system cuts longer names in silence.
  if (runDirectory.length > 60) throw new Error(`--run-dir '${runDirectory}' is longer than 60 characters`);
  return {
    command,
    name: values.name,
    nodeCount,
    demo: !values['no-demo'],
    detach: values.detach,
    runDirectory,
    stateDirectory: values['state-directory'],
    keepState: values['state-dir'] !== undefined,
    program: values.program,
  };
}
