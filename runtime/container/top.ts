// The processes of a container. Docker asks the host's ps; the two usual forms are read from /proc, so that a machine
// without ps can answer them, and anything else is given to ps.
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { errnoOf, fail, sentenceOf } from '../../base/errors.ts';

export interface Top {
  readonly titles: readonly string[];
  readonly processes: readonly (readonly string[])[];
}

const TICKS_PER_SECOND = 100;
const PS_DEADLINE_MS = 5_000;
const OUTPUT_BYTES_MAX = 8 * 1024 * 1024;

export async function top(pids: readonly number[], psArgs: string): Promise<Top> {
  const args = psArgs.trim() === '' ? '-ef' : psArgs.trim();
  return args === '-ef' ? fullFormat(pids) : viaPs(pids, args);
}

async function fullFormat(pids: readonly number[]): Promise<Top> {
  const [users, bootMs] = await Promise.all([userNames(), bootTimeMs()]);
  const rows = await Promise.all(pids.map((pid) => row(pid, users, bootMs)));
  return {
    titles: ['UID', 'PID', 'PPID', 'C', 'STIME', 'TTY', 'TIME', 'CMD'],
    processes: rows.filter((each) => each !== undefined),
  };
}

async function row(pid: number, users: ReadonlyMap<string, string>, bootMs: number): Promise<string[] | undefined> {
  try {
    const [stat, status, commandLine] = await Promise.all([
      readFile(`/proc/${pid}/stat`, 'utf8'),
      readFile(`/proc/${pid}/status`, 'utf8'),
      readFile(`/proc/${pid}/cmdline`, 'utf8'),
    ]);
    const name = /\((.*)\)/s.exec(stat)?.[1] ?? '';
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const number = (index: number): number => Number(fields[index - 3]); // numbered as in proc(5)
    const uid = /^Uid:\s+\d+\s+(\d+)/m.exec(status)?.[1] ?? '0';
    const cpuSeconds = (number(14) + number(15)) / TICKS_PER_SECOND;
    const startMs = bootMs + (number(22) / TICKS_PER_SECOND) * 1000;
    const upSeconds = Math.max((Date.now() - startMs) / 1000, 1);
    const command = commandLine.replaceAll('\0', ' ').trim() || `[${name}]`;
    return [
      users.get(uid) ?? uid,
      String(pid),
      fields[1] ?? '',
      String(Math.min(99, Math.floor((cpuSeconds / upSeconds) * 100))),
      startText(startMs),
      terminalName(number(7)),
      durationText(cpuSeconds),
      command,
    ];
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ESRCH') return undefined; // it has exited
    throw error;
  }
}

async function userNames(): Promise<Map<string, string>> {
  const text = await readFile('/etc/passwd', 'utf8').catch(() => ''); // a machine may have none: numbers then
  return new Map(
    text
      .split('\n')
      .map((line) => line.split(':'))
      .map(([name = '', , uid = '']) => [uid, name]),
  );
}

async function bootTimeMs(): Promise<number> {
  return Number(/^btime (\d+)$/m.exec(await readFile('/proc/stat', 'utf8'))?.[1] ?? 0) * 1000;
}

function startText(ms: number): string {
  const date = new Date(ms);
  const two = (value: number): string => String(value).padStart(2, '0');
  const isToday = Date.now() - ms < 24 * 3600 * 1000;
  return isToday
    ? `${two(date.getHours())}:${two(date.getMinutes())}`
    : date.toDateString().slice(4, 10).replace(' ', '');
}

function terminalName(device: number): string {
  if (device === 0) return '?';
  const major = (device >> 8) & 0xfff;
  return major === 136 ? `pts/${device & 0xff}` : `tty${device & 0xff}`;
}

const durationText = (seconds: number): string =>
  [seconds / 3600, (seconds / 60) % 60, seconds % 60]
    .map((part) => String(Math.floor(part)).padStart(2, '0'))
    .join(':');

async function viaPs(pids: readonly number[], args: string): Promise<Top> {
  const output = await runPs(args);
  const [header = '', ...lines] = output.split('\n').filter((line) => line.trim() !== '');
  const titles = header.trim().split(/\s+/);
  const pidAt = titles.indexOf('PID');
  if (pidAt < 0) fail('invalid', "Couldn't find PID field in ps output");
  const wanted = new Set(pids.map(String));
  const rows = lines.map((line) => columns(line, titles.length));
  return { titles, processes: rows.filter((each) => wanted.has(each[pidAt] ?? '')) };
}

/** The last column, the command, keeps its blanks. */
function columns(line: string, count: number): string[] {
  const words = line.trim().split(/\s+/);
  return words.length <= count ? words : [...words.slice(0, count - 1), words.slice(count - 1).join(' ')];
}

async function runPs(args: string): Promise<string> {
  try {
    const options = { timeout: PS_DEADLINE_MS, maxBuffer: OUTPUT_BYTES_MAX };
    return (await promisify(execFile)('ps', args.split(/\s+/), options)).stdout;
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT')
      fail('not-implemented', `this machine has no ps command, so only 'ps -ef' is answered, not '${args}'`);
    return fail('invalid', `ps: ${firstComplaint(cause)}`);
  }
}

/** What ps said, without its page of help. */
function firstComplaint(cause: unknown): string {
  const { stderr } = Object(cause) as { readonly stderr?: unknown };
  return (typeof stderr === 'string' ? stderr : '').split('\n').find((line) => line !== '') ?? sentenceOf(cause);
}
