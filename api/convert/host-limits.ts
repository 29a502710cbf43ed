// Resource limits and restart rules of containers: from HostConfig and from /containers/{id}/update, and back.
import { fail } from '../../base/errors.ts';
import type { ContainerLimits, RestartRule } from '../../runtime/container/contract.ts';
import type { Fields } from './fields.ts';

const MEMORY_BYTES_MIN = 6 * 1024 * 1024; // Docker's

export function parseLimits(host: Fields): ContainerLimits {
  const limits = {
    nanoCpus: host.integer('NanoCpus', { min: 0 }),
    cpuShares: host.integer('CpuShares', { min: 0 }),
    cpuQuota: host.integer('CpuQuota', { min: -1 }),
    cpuPeriod: host.integer('CpuPeriod', { min: 0 }),
    cpusetCpus: checkedCpuset(host),
    memoryBytes: host.integer('Memory', { min: 0 }),
    memorySwapBytes: host.integer('MemorySwap', { min: -1 }),
    memoryReservationBytes: host.integer('MemoryReservation', { min: 0 }),
    pids: host.integer('PidsLimit', { min: -1 }),
    ...furtherLimits(host),
  };
  requireConsistent(limits);
  return limits;
}

function furtherLimits(host: Fields): Partial<ContainerLimits> {
  const blockIo = BLOCK_IO.flatMap(([key, kind, valueKey]) =>
    host.objects(key).map((entry) => ({ kind, path: entry.text('Path'), value: entry.integer(valueKey, { min: 0 }) })),
  );
  const swappiness = host.integer('MemorySwappiness', { min: -1 }, -1);
  return {
    ...(host.text('CpusetMems') === '' ? {} : { cpusetMems: host.text('CpusetMems') }),
    ...(host.flag('OomKillDisable') ? { oomKillDisable: true } : {}),
    ...(swappiness < 0 ? {} : { memorySwappiness: swappiness }),
    ...(host.integer('BlkioWeight', { min: 0 }) === 0 ? {} : { blockIoWeight: host.integer('BlkioWeight') }),
    ...(blockIo.length > 0 ? { blockIo } : {}),
  };
}

const BLOCK_IO = [
  ['BlkioWeightDevice', 'weight', 'Weight'],
  ['BlkioDeviceReadBps', 'read-bps', 'Rate'],
  ['BlkioDeviceWriteBps', 'write-bps', 'Rate'],
  ['BlkioDeviceReadIOps', 'read-iops', 'Rate'],
  ['BlkioDeviceWriteIOps', 'write-iops', 'Rate'],
] as const;

function requireConsistent(limits: ContainerLimits): void {
  const { memoryBytes, memorySwapBytes, memoryReservationBytes } = limits;
  if (memoryBytes > 0 && memoryBytes < MEMORY_BYTES_MIN) fail('invalid', 'Minimum memory limit allowed is 6MB');
  if (memorySwapBytes > 0 && memoryBytes === 0) {
    fail('invalid', 'You should always set the Memory limit when using Memoryswap limit, see usage');
  }
  if (memorySwapBytes > 0 && memorySwapBytes < memoryBytes) {
    fail('invalid', 'Minimum memoryswap limit should be larger than memory limit, see usage');
  }
  if (memoryBytes > 0 && memoryReservationBytes > memoryBytes) {
    fail('invalid', 'Minimum memory limit can not be less than memory reservation limit, see usage');
  }
  if (limits.nanoCpus > 0 && limits.cpuPeriod > 0) {
    fail('invalid', 'Conflicting options: Nano CPUs and CPU Period cannot both be set');
  }
  if (limits.nanoCpus > 0 && limits.cpuQuota > 0) {
    fail('invalid', 'Conflicting options: Nano CPUs and CPU Quota cannot both be set');
  }
  if (limits.cpuPeriod !== 0 && (limits.cpuPeriod < 1000 || limits.cpuPeriod > 1_000_000)) {
    fail('invalid', 'CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)');
  }
  if (limits.cpuQuota > 0 && limits.cpuQuota < 1000)
    fail('invalid', 'CPU cfs quota can not be less than 1ms (i.e. 1000)');
}

function checkedCpuset(host: Fields): string {
  const text = host.text('CpusetCpus');
  if (text !== '' && !/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(text)) {
    fail('invalid', `Invalid value ${text} for cpuset cpus`);
  }
  return text;
}

/** Only what the request names: an update leaves the rest alone. */
export function parseLimitChange(body: Fields): Partial<ContainerLimits> {
  const all: ContainerLimits = parseLimits(body);
  const named = LIMIT_KEYS.filter(([docker]) => body.has(docker) && body.raw(docker) !== 0 && body.raw(docker) !== '');
  return Object.fromEntries(named.map(([, ours]) => [ours, all[ours]]));
}

const LIMIT_KEYS = [
  ['NanoCpus', 'nanoCpus'],
  ['CpuShares', 'cpuShares'],
  ['CpuQuota', 'cpuQuota'],
  ['CpuPeriod', 'cpuPeriod'],
  ['CpusetCpus', 'cpusetCpus'],
  ['Memory', 'memoryBytes'],
  ['MemorySwap', 'memorySwapBytes'],
  ['MemoryReservation', 'memoryReservationBytes'],
  ['PidsLimit', 'pids'],
  ['CpusetMems', 'cpusetMems'],
  ['BlkioWeight', 'blockIoWeight'],
] as const satisfies readonly (readonly [string, keyof ContainerLimits])[];

/** The limits in HostConfig's spelling. */
export function limitsJson(limits: ContainerLimits): Record<string, unknown> {
  const entries = LIMIT_KEYS.map(([docker, ours]) => [docker, limits[ours]] as const);
  return {
    ...Object.fromEntries(entries),
    PidsLimit: limits.pids > 0 ? limits.pids : null,
    CpusetMems: limits.cpusetMems ?? '',
    BlkioWeight: limits.blockIoWeight ?? 0,
  };
}

const RESTART_NAMES = ['no', 'always', 'unless-stopped', 'on-failure'] as const;

export function parseRestart(host: Fields): RestartRule {
  const policy = host.object('RestartPolicy');
  const text = policy.text('Name');
  const name = RESTART_NAMES.find((known) => known === (text || 'no'));
  if (!name) {
    fail(
      'invalid',
      `invalid restart policy: unknown policy '${text}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`,
    );
  }
  const attemptsMax = policy.integer('MaximumRetryCount', { min: 0 });
  if (attemptsMax > 0 && name !== 'on-failure') {
    fail('invalid', `invalid restart policy: maximum retry count can only be used with 'on-failure'`);
  }
  return { name, attemptsMax };
}

export const restartJson = (rule: RestartRule): Record<string, unknown> => ({
  Name: rule.name,
  MaximumRetryCount: rule.attemptsMax,
});

export function refuseUnsupportedResources(host: Fields): void {
  host.refuse('CpuRealtimePeriod', 'real-time scheduling is');
  host.refuse('CpuRealtimeRuntime', 'real-time scheduling is');
}
