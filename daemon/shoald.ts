// The program: reads its settings, runs until it is told to stop, and says in one sentence why it cannot.
import { closeSync, existsSync, readFileSync, writeSync } from 'node:fs';
import process from 'node:process';
import { systemClock } from '../base/clock.ts';
import { sentenceOf } from '../base/errors.ts';
import { createLog, type Log } from '../base/log.ts';
import { parseJson } from '../base/parse.ts';
import { systemRandom } from '../base/random.ts';
import { daemonConfig, parseFlags } from './config.ts';
import { startDaemon } from './daemon.ts';

const DEFAULT_CONFIG_FILE = '/etc/shoal/daemon.json';
const SHUTDOWN_WITHIN_MS = 15_000;

async function main(): Promise<void> {
  if (process.argv[2] === 'raft') {
    const { raftTool } = await import('./raft-tool.ts');
    process.stdout.write(`${(await raftTool(process.argv.slice(3))).join('\n')}\n`);
    return;
  }
  const flags = parseFlags(process.argv.slice(2));
  const file = flags.configFile ?? (existsSync(DEFAULT_CONFIG_FILE) ? DEFAULT_CONFIG_FILE : undefined);
  const config = daemonConfig(flags, file === undefined ? undefined : parseJson(readFileSync(file, 'utf8'), file));
  if (flags.validateOnly) {
    process.stdout.write('configuration OK\n');
    return;
  }
  const log = createLog({ level: config.logLevel });
  process.title = 'shoald';
  const daemon = await startDaemon(config, { clock: systemClock, random: systemRandom, log });
  log.info('daemon ready', { pid: process.pid, dataRoot: config.dataRoot });
  tellReady();
  const signal = await stopSignal(log);
  log.info('daemon stopping', { signal });
  // A room that does not end must not keep the machine from restarting us; state on disk is safe at any instant.
  const timer = setTimeout(() => {
    log.error('daemon did not stop in time', { afterMs: SHUTDOWN_WITHIN_MS });
    process.exit(1);
  }, SHUTDOWN_WITHIN_MS);
  await daemon[Symbol.asyncDispose]();
  clearTimeout(timer);
  log.info('daemon stopped');
  process.exit(0); // worker threads and kept connections of libraries may linger
}

function stopSignal(log: Log): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve(signal));
    process.on('SIGHUP', () => log.info('SIGHUP is ignored: restart the daemon to read its settings again'));
  });
}

/** Whoever started us waits at the other end of this descriptor. */
function tellReady(): void {
  const fd = Number(process.env['SHOALD_READY_FD'] ?? '');
  if (!Number.isInteger(fd) || fd < 3) return;
  writeSync(fd, 'ready\n');
  closeSync(fd);
}

// Not awaited: parts that are loaded later would wait for this module to end.
main().catch((error: unknown) => {
  process.stderr.write(`shoald: ${sentenceOf(error)}\n`);
  process.exit(1);
});
