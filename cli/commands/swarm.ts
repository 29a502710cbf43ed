// shoal swarm backup|restore: what docker has no command for.
import { createWriteStream } from 'node:fs';
import { readFile, rename, rm } from 'node:fs/promises';
import { createInterface } from 'node:readline/promises';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { fail } from '../../base/errors.ts';
import { parseJson } from '../../base/parse.ts';
import { syncDirectory } from '../../base/files.ts';
import { dirname, resolve } from 'node:path';
import type { CommandContext } from '../context.ts';

interface RestoreFlags {
  readonly listenAddr?: string;
  readonly advertiseAddr?: string;
}

export function addSwarmCommands(program: Command, context: () => CommandContext): void {
  const swarm = program.command('swarm').description('the swarm as a whole');
  swarm
    .command('backup <file>')
    .description("write the swarm's state to a file, while it runs")
    .action((file: string) => backup(context(), file));
  swarm
    .command('restore <file>')
    .description('begin the swarm of a backup anew, with this node as its manager')
    .option('--listen-addr <address>', 'as in swarm init')
    .option('--advertise-addr <address>', 'as in swarm init')
    .action((file: string, flags: RestoreFlags) => restore(context(), file, flags));
}

/** The file has its name only when it is whole. */
async function backup(context: CommandContext, file: string): Promise<void> {
  const temporary = `${file}.tmp`;
  try {
    const response = await context.engine.stream('/shoal/swarm/backup');
    await pipeline(response, createWriteStream(temporary, { mode: 0o600, flags: 'w', flush: true }));
    await rename(temporary, file);
    await syncDirectory(dirname(resolve(file)));
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  context.print(`The swarm is in ${file}. Whoever has this file can be a manager of it: keep it as a key.`);
}

async function restore(context: CommandContext, file: string, flags: RestoreFlags): Promise<void> {
  const bytes = await readFile(file);
  const unlockKey = isSealed(bytes) ? await askForKey() : '';
  const id = await context.engine.json<string>('/shoal/swarm/restore', {
    method: 'POST',
    query: { listenAddr: flags.listenAddr, advertiseAddr: flags.advertiseAddr },
    bytes,
    headers: unlockKey === '' ? {} : { 'X-Shoal-Unlock-Key': unlockKey },
  });
  context.print(`Swarm restored: node (${id}) is now its manager.`);
}

function isSealed(bytes: Buffer): boolean {
  const end = bytes.indexOf(0x0a);
  const line = bytes.subarray(0, Math.max(0, end)).toString('utf8');
  if (!line.startsWith('{')) fail('invalid', 'this is not a backup of a swarm');
  return Object.hasOwn(parseJson(line) as object, 'sealedKey');
}

async function askForKey(): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return (await terminal.question('Please enter the unlock key that the swarm had: ')).trim();
  } finally {
    terminal.close();
  }
}
