// What a running container uses, read from its cgroup files (version 1 or 2) and /proc when somebody asks.
import { readFile } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import { errnoOf } from '../../base/errors.ts';
import type { Container } from './container.ts';
import type { BlockIo, Stats } from './contract.ts';
import type { Cgroups } from './parts.ts';

const NS_PER_TICK = 1e7; // USER_HZ is 100 on every Linux that Node runs on
const NS_PER_US = 1_000;
const UNLIMITED = 2 ** 60;

export async function readStats(container: Container, cgroups: Cgroups, nowMs: number): Promise<Stats> {
  const folder = (controller: 'memory' | 'cpu' | 'cpuacct' | 'pids' | 'blkio'): string =>
    cgroups.folder(controller, container.id, container.record.config.cgroupParent);
  const isV2 = cgroups.layout.unifiedControls;
  const [cpu, memory, pids, blockIo, network, systemCpuNs] = await Promise.all([
    isV2 ? cpuV2(folder('cpu')) : cpuV1(folder('cpu'), folder('cpuacct')),
    isV2 ? memoryV2(folder('memory')) : memoryV1(folder('memory')),
    readPids(folder('pids')),
    isV2 ? blockIoV2(folder('blkio')) : blockIoV1(folder('blkio')),
    readNetwork(container),
    readSystemCpu(),
  ]);
  return {
    atMs: nowMs,
    ...cpu,
    ...memory,
    ...pids,
    ...blockIo,
    network,
    systemCpuNs,
    onlineCpus: availableParallelism(),
  };
}

type Cpu = Pick<Stats, 'cpuTotalNs' | 'cpuUserNs' | 'cpuKernelNs' | 'cpuPerCoreNs' | 'throttling'>;

async function cpuV2(folder: string): Promise<Cpu> {
  const stat = parsePairs(await read(join(folder, 'cpu.stat')));
  return {
    cpuTotalNs: (stat['usage_usec'] ?? 0) * NS_PER_US,
    cpuUserNs: (stat['user_usec'] ?? 0) * NS_PER_US,
    cpuKernelNs: (stat['system_usec'] ?? 0) * NS_PER_US,
    throttling: {
      periods: stat['nr_periods'] ?? 0,
      throttledPeriods: stat['nr_throttled'] ?? 0,
      throttledNs: (stat['throttled_usec'] ?? 0) * NS_PER_US,
    },
  };
}

async function cpuV1(cpuFolder: string, accountFolder: string): Promise<Cpu> {
  const [usage, perCore, split, stat] = await Promise.all([
    read(join(accountFolder, 'cpuacct.usage')),
    read(join(accountFolder, 'cpuacct.usage_percpu')),
    read(join(accountFolder, 'cpuacct.stat')),
    read(join(cpuFolder, 'cpu.stat')),
  ]);
  const ticks = parsePairs(split);
  const throttle = parsePairs(stat);
  return {
    cpuTotalNs: Number(usage),
    cpuPerCoreNs: perCore.trim() === '' ? [] : perCore.trim().split(/\s+/).map(Number),
    cpuUserNs: (ticks['user'] ?? 0) * NS_PER_TICK,
    cpuKernelNs: (ticks['system'] ?? 0) * NS_PER_TICK,
    throttling: {
      periods: throttle['nr_periods'] ?? 0,
      throttledPeriods: throttle['nr_throttled'] ?? 0,
      throttledNs: throttle['throttled_time'] ?? 0,
    },
  };
}

type Memory = Pick<Stats, 'memoryUsageBytes' | 'memoryUsageMaxBytes' | 'memoryLimitBytes' | 'memoryStats'>;

async function memoryV2(folder: string): Promise<Memory> {
  const [current, max, stat] = await Promise.all(
    ['memory.current', 'memory.max', 'memory.stat'].map((file) => read(join(folder, file))),
  );
  return memoryOf(Number(current ?? 0), (max ?? '').trim() === 'max' ? UNLIMITED : Number(max), stat ?? '');
}

async function memoryV1(folder: string): Promise<Memory> {
  const [usage, usageMax, limit, stat] = await Promise.all(
    ['memory.usage_in_bytes', 'memory.max_usage_in_bytes', 'memory.limit_in_bytes', 'memory.stat'].map((file) =>
      read(join(folder, file)),
    ),
  );
  return {
    ...memoryOf(Number(usage ?? 0), Number(limit), stat ?? ''),
    memoryUsageMaxBytes: Number(usageMax),
  };
}

/** Without a limit the machine's memory is the limit, as Docker shows it. */
function memoryOf(memoryUsageBytes: number, limit: number, stat: string): Memory {
  const total = totalmem();
  return {
    memoryUsageBytes,
    memoryLimitBytes: limit > 0 && limit < total ? limit : total,
    memoryStats: parsePairs(stat),
  };
}

async function readPids(folder: string): Promise<Pick<Stats, 'pids' | 'pidsLimit'>> {
  const [current, max] = await Promise.all([read(join(folder, 'pids.current')), read(join(folder, 'pids.max'))]);
  return { pids: Number(current), pidsLimit: max.trim() === 'max' ? 0 : Number(max) };
}

type BlockIoStats = Pick<Stats, 'blockIo' | 'blockIoOperations'>;

async function blockIoV1(folder: string): Promise<BlockIoStats> {
  const [bytes, operations] = await Promise.all(
    ['io_service_bytes', 'io_serviced'].map((file) => read(join(folder, `blkio.throttle.${file}_recursive`))),
  );
  return { blockIo: devicesOf(bytes ?? ''), blockIoOperations: devicesOf(operations ?? '') };
}

function devicesOf(text: string): BlockIo[] {
  return text.split('\n').flatMap((line) => {
    const [, major, minor, op, count] = /^(\d+):(\d+) (\w+) (\d+)$/.exec(line) ?? [];
    if (op === undefined) return [];
    return [{ major: Number(major), minor: Number(minor), op: op.toLowerCase(), count: Number(count) }];
  });
}

async function blockIoV2(folder: string): Promise<BlockIoStats> {
  const text = await read(join(folder, 'io.stat'));
  const blockIo = text.split('\n').flatMap((line) => {
    const [, major, minor, rest = ''] = /^(\d+):(\d+) (.*)$/.exec(line) ?? [];
    if (major === undefined) return [];
    const entry = (op: string, key: string): BlockIo => ({
      major: Number(major),
      minor: Number(minor),
      op,
      count: Number(new RegExp(`${key}=(\\d+)`).exec(rest)?.[1] ?? 0),
    });
    return [entry('read', 'rbytes'), entry('write', 'wbytes')];
  });
  return { blockIo };
}

/** As the container sees its own interface; one of the host's network has none. */
async function readNetwork({ status }: Container): Promise<Stats['network']> {
  const [endpoint] = status.endpoints;
  if (!endpoint || endpoint.address === '' || status.pid === 0) return undefined;
  const text = await read(`/proc/${status.pid}/net/dev`);
  const line = text.split('\n').find((each) => each.trim().startsWith(`${endpoint.interfaceName}:`));
  const numbers = line?.replace(/^.*:/, '').trim().split(/\s+/).map(Number) ?? [];
  const at = (index: number): number => numbers[index] ?? 0;
  return {
    rxBytes: at(0),
    rxPackets: at(1),
    rxErrors: at(2),
    rxDropped: at(3),
    txBytes: at(8),
    txPackets: at(9),
    txErrors: at(10),
    txDropped: at(11),
  };
}

async function readSystemCpu(): Promise<number> {
  const [line = ''] = (await read('/proc/stat')).split('\n', 1);
  const ticks = line.split(/\s+/).slice(1, 9).map(Number);
  return ticks.reduce((sum, each) => sum + each, 0) * NS_PER_TICK;
}

/** A controller that is not there counts nothing. */
async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'ENODEV', 'EOPNOTSUPP'].includes(errnoOf(error) ?? '')) return '';
    throw error;
  }
}

function parsePairs(text: string): Record<string, number> {
  const pairs = text.split('\n').map((line) => line.split(' ') as [string, string?]);
  return Object.fromEntries(
    pairs.filter(([key, value]) => key !== '' && value !== undefined).map(([key, value]) => [key, Number(value)]),
  );
}
