// `shoald raft dump|verify DIR`: looks into a manager's consensus directory while no daemon uses it, and changes nothing.
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { fail } from '../base/errors.ts';
import { systemDisk } from '../base/system-disk.ts';
import { type Inspection, inspectDirectory } from '../manager/raft/inspect.ts';

const USAGE = 'usage: shoald raft dump|verify DIR, DIR being the folder swarm/raft of a data root';

/** The lines to print. Throws, naming the place, when something that was durable is not whole. */
export async function raftTool(argv: readonly string[]): Promise<string[]> {
  const { positionals } = parseArgs({ args: [...argv], allowPositionals: true, options: {} });
  const [command, directory, ...more] = positionals;
  if ((command !== 'dump' && command !== 'verify') || directory === undefined || more.length > 0)
    fail('invalid', USAGE);
  if (!existsSync(directory)) fail('not-found', `there is no directory ${directory}`);
  const found = await inspectDirectory(systemDisk(resolve(directory)));
  return command === 'verify' ? [verdict(found)] : dump(found);
}

function verdict(found: Inspection): string {
  const { entries, base, segments, snapshot, tornBytes } = found;
  const range = entries.length === 0 ? 'no entries' : `entries ${base.index + 1} to ${entries.at(-1)?.index}`;
  const torn =
    tornBytes === 0 ? '' : `; ${tornBytes} bytes of an unfinished batch at its end, which the next start cuts`;
  const held = snapshot ? `snapshot at ${snapshot.index}` : 'no snapshot';
  return `whole: ${range} in ${segments.length} segment${segments.length === 1 ? '' : 's'}, ${held}${torn}`;
}

function dump(found: Inspection): string[] {
  const { hardState, snapshot, base } = found;
  return [
    `cluster ${found.clusterId}, node ${found.nodeId}, epoch ${found.epoch}`,
    `term ${hardState.term}, vote ${hardState.vote ?? 'none'}, commit ${hardState.commit}`,
    ...found.segments.map((name) => `segment ${name}`),
    ...(snapshot ? [`snapshot at ${snapshot.index} of term ${snapshot.term}`] : ['no snapshot']),
    ...(snapshot?.membership.members ?? []).map(
      ({ id, address, learner }) => `  ${learner ? 'learner' : 'voter'} ${id} at ${address}`,
    ),
    ...found.snapshotChunks.map(({ kind, bytes }) => `  chunk ${kind}, ${bytes} bytes`),
    `log after ${base.index} of term ${base.term}`,
    ...found.entries.map(
      ({ index, term, kind, bytes }) =>
        `  ${index} term ${term} ${kind} ${kind === 'membership' ? Buffer.from(bytes).toString('utf8') : `${bytes.length} bytes`}`,
    ),
    verdict(found),
  ];
}
