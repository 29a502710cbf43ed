// Resource use as /containers/{id}/stats shows it: one sample a second, each with its predecessor.
import type { Loop } from '../../base/clock.ts';
import { codeOf } from '../../base/errors.ts';
import type { BlockIo, ContainerInfo, Containers, Stats } from '../../runtime/container/contract.ts';
import { goTime, ZERO_TIME } from './time.ts';

const PERIOD_MS = 1_000;

/** Samples as lines of JSON until the client goes away or the container is gone. A stopped one gets empty samples. */
export async function* statsSamples(containers: Containers, info: ContainerInfo, loop: Loop): AsyncGenerator<string> {
  let before: Stats | undefined;
  try {
    for (;;) {
      const now = await statsOrNothing(containers, info.id);
      yield `${JSON.stringify(statsSample(info, now, before))}\n`;
      before = now;
      await loop.clock.sleep(PERIOD_MS, { abort: loop.abort });
    }
  } catch (error) {
    if (!['aborted', 'not-found'].includes(codeOf(error))) throw error;
  }
}

/** Undefined for a container that does not run. */
export async function statsOrNothing(containers: Containers, id: string): Promise<Stats | undefined> {
  if (!['running', 'paused'].includes(containers.get(id).state)) return undefined;
  try {
    return await containers.stats(id);
  } catch (error) {
    if (codeOf(error) === 'conflict') return undefined; // it stopped in between
    throw error;
  }
}

export function statsSample(info: ContainerInfo, now: Stats | undefined, before: Stats | undefined): object {
  return {
    name: `/${info.name}`,
    id: info.id,
    read: now ? goTime(now.atMs) : ZERO_TIME,
    preread: before ? goTime(before.atMs) : ZERO_TIME,
    num_procs: 0,
    pids_stats: now ? { current: now.pids, ...(now.pidsLimit > 0 ? { limit: now.pidsLimit } : {}) } : {},
    blkio_stats: blkio(now),
    storage_stats: {},
    cpu_stats: cpu(now),
    precpu_stats: cpu(before),
    memory_stats: memory(now),
    ...(now?.network ? { networks: { [info.endpoint?.interfaceName ?? 'eth0']: network(now.network) } } : {}),
  };
}

function cpu(stats: Stats | undefined): object {
  return {
    cpu_usage: {
      total_usage: stats?.cpuTotalNs ?? 0,
      usage_in_kernelmode: stats?.cpuKernelNs ?? 0,
      usage_in_usermode: stats?.cpuUserNs ?? 0,
      ...(stats?.cpuPerCoreNs ? { percpu_usage: stats.cpuPerCoreNs } : {}),
    },
    ...(stats ? { system_cpu_usage: stats.systemCpuNs, online_cpus: stats.onlineCpus } : {}),
    throttling_data: {
      periods: stats?.throttling.periods ?? 0,
      throttled_periods: stats?.throttling.throttledPeriods ?? 0,
      throttled_time: stats?.throttling.throttledNs ?? 0,
    },
  };
}

function memory(stats: Stats | undefined): object {
  if (!stats) return {};
  return {
    usage: stats.memoryUsageBytes,
    ...(stats.memoryUsageMaxBytes === undefined ? {} : { max_usage: stats.memoryUsageMaxBytes }),
    limit: stats.memoryLimitBytes,
    stats: stats.memoryStats,
  };
}

/** One that does not run has no lists at all; of one that runs, those that the kernel does not keep are empty. */
function blkio(stats: Stats | undefined): object {
  const entries = (list: readonly BlockIo[] | undefined) =>
    list?.map(({ major, minor, op, count }) => ({ major, minor, op, value: count }));
  const none = stats ? [] : null;
  return {
    io_service_bytes_recursive: entries(stats?.blockIo) ?? none,
    io_serviced_recursive: entries(stats?.blockIoOperations) ?? none,
    io_queue_recursive: none,
    io_service_time_recursive: none,
    io_wait_time_recursive: none,
    io_merged_recursive: none,
    io_time_recursive: none,
    sectors_recursive: none,
  };
}

function network(use: NonNullable<Stats['network']>): object {
  return {
    rx_bytes: use.rxBytes,
    rx_packets: use.rxPackets,
    rx_errors: use.rxErrors,
    rx_dropped: use.rxDropped,
    tx_bytes: use.txBytes,
    tx_packets: use.txPackets,
    tx_errors: use.txErrors,
    tx_dropped: use.txDropped,
  };
}
