// What a service's tasks run, between Docker's ContainerSpec and ours. Reading and writing stand beside each other:
// what comes in must come back equal. What we cannot do yet is refused, never forgotten.
import { fail } from '../../base/errors.ts';
import { asOneOf } from '../../base/parse.ts';
import type { ContainerSpec, HealthCheck, Mount } from '../../proto/objects.ts';
import type { ContainerSpecJson, MountJson } from '../types/swarm.ts';
import { optionalPropagation } from './container-mounts.ts';
import type { Fields } from './fields.ts';
import { healthConfigOf } from './health.ts';
import { msFromNanos, nanosFromMs } from './time.ts';

export function parseContainerSpec(spec: Fields): ContainerSpec {
  refuseUnsupported(spec);
  const dns = spec.objectOrAbsent('DNSConfig');
  const health = spec.objectOrAbsent('Healthcheck');
  return present({
    image: spec.text('Image'),
    command: nonEmpty(spec.textsOrAbsent('Command')),
    args: nonEmpty(spec.textsOrAbsent('Args')),
    hostname: spec.text('Hostname') || undefined,
    env: spec.texts('Env'),
    workingDirectory: spec.text('Dir') || undefined,
    user: spec.text('User') || undefined,
    groups: nonEmpty(spec.textsOrAbsent('Groups')),
    labels: spec.textMap('Labels'),
    mounts: spec.objects('Mounts').map(parseMount),
    stopSignal: spec.text('StopSignal') || undefined,
    stopGraceMs: periodOrAbsent(spec, 'StopGracePeriod'),
    healthCheck: health && parseHealth(health),
    hosts: nonEmpty(spec.textsOrAbsent('Hosts')),
    dns: dns && parseDns(dns),
    tty: spec.flag('TTY') || undefined,
    openStdin: spec.flag('OpenStdin') || undefined,
    readOnly: spec.flag('ReadOnly') || undefined,
    init: spec.has('Init') ? spec.flag('Init') : undefined,
    capabilityAdd: nonEmpty(spec.textsOrAbsent('CapabilityAdd')),
    capabilityDrop: nonEmpty(spec.textsOrAbsent('CapabilityDrop')),
    sysctls: nonEmptyMap(spec.textMap('Sysctls')),
    ulimits: nonEmpty(spec.objects('Ulimits').map(parseUlimit)),
  });
}

function refuseUnsupported(spec: Fields): void {
  spec.refuse('Secrets', 'secrets are');
  spec.refuse('Configs', 'configs are');
  spec.refuse('OomScoreAdj', 'the OOM score of services is');
  const privileges = spec.object('Privileges');
  privileges.refuse('CredentialSpec', 'credential specs are');
  privileges.refuse('SELinuxContext', 'SELinux contexts are');
  privileges.refuse('NoNewPrivileges', 'no-new-privileges of services is');
  privileges.refuse('Seccomp', 'a seccomp profile for services is');
  privileges.refuse('AppArmor', 'an AppArmor profile for services is');
  const isolation = spec.text('Isolation');
  if (isolation !== '' && isolation !== 'default')
    fail('invalid', `${spec.path('Isolation')}: invalid isolation: "${isolation}"`);
}

export function containerSpecJson(spec: ContainerSpec): ContainerSpecJson {
  const { dns, healthCheck } = spec;
  return present({
    Image: spec.image,
    Labels: nonEmptyMap(spec.labels),
    Command: copy(spec.command),
    Args: copy(spec.args),
    Hostname: spec.hostname,
    Env: nonEmpty([...spec.env]),
    Dir: spec.workingDirectory,
    User: spec.user,
    Groups: copy(spec.groups),
    StopSignal: spec.stopSignal,
    TTY: spec.tty,
    OpenStdin: spec.openStdin,
    ReadOnly: spec.readOnly,
    Mounts: nonEmpty(spec.mounts.map(mountJson)),
    StopGracePeriod: spec.stopGraceMs === undefined ? undefined : nanosFromMs(spec.stopGraceMs),
    Healthcheck: healthCheck && { ...healthConfigOf(healthCheck) },
    Hosts: copy(spec.hosts),
    DNSConfig: present({
      Nameservers: nonEmpty([...(dns?.servers ?? [])]),
      Search: nonEmpty([...(dns?.search ?? [])]),
      Options: nonEmpty([...(dns?.options ?? [])]),
    }),
    Init: spec.init,
    Isolation: 'default',
    Sysctls: spec.sysctls && { ...spec.sysctls },
    CapabilityAdd: copy(spec.capabilityAdd),
    CapabilityDrop: copy(spec.capabilityDrop),
    Ulimits: spec.ulimits?.map(({ name, soft, hard }) => ({ Name: name, Soft: soft, Hard: hard })),
  });
}

function parseDns(dns: Fields) {
  const servers = dns.texts('Nameservers');
  const search = dns.texts('Search');
  const options = dns.texts('Options');
  return servers.length + search.length + options.length === 0 ? undefined : { servers, search, options };
}

/** Only the shape: what the values may be is the managers' to judge, wherever they come from. */
function parseHealth(health: Fields): HealthCheck {
  const period = (key: string): number => msFromNanos(health.number(key));
  return {
    test: health.texts('Test'),
    intervalMs: period('Interval'),
    timeoutMs: period('Timeout'),
    startPeriodMs: period('StartPeriod'),
    startIntervalMs: period('StartInterval'),
    retries: health.integer('Retries'),
  };
}

const parseUlimit = (limit: Fields) => ({
  name: limit.text('Name'),
  soft: limit.integer('Soft'),
  hard: limit.integer('Hard'),
});

function parseMount(mount: Fields): Mount {
  const kind = mount.text('Type') || 'volume';
  const type = asOneOf(kind, mount.path('Type'), ['bind', 'volume', 'tmpfs', 'npipe', 'cluster', 'image']);
  if (type === 'npipe' || type === 'cluster' || type === 'image') {
    return fail('not-implemented', `${mount.path('Type')}: mounts of type ${type} are not implemented yet`);
  }
  const bind = mount.object('BindOptions');
  for (const option of ['NonRecursive', 'ReadOnlyNonRecursive', 'ReadOnlyForceRecursive', 'CreateMountpoint']) {
    bind.refuse(option, 'this bind option is');
  }
  const volume = mount.object('VolumeOptions');
  volume.refuse('Subpath', 'mounting a part of a volume is');
  const tmpfs = mount.object('TmpfsOptions');
  tmpfs.refuse('Options', 'further tmpfs options are');
  const driver = volume.objectOrAbsent('DriverConfig');
  return present({
    type,
    source: mount.text('Source'),
    target: mount.text('Target'),
    readOnly: mount.flag('ReadOnly'),
    propagation: optionalPropagation(bind),
    tmpfsSizeBytes: tmpfs.has('SizeBytes') ? tmpfs.integer('SizeBytes') : undefined,
    tmpfsMode: tmpfs.has('Mode') ? tmpfs.integer('Mode') : undefined,
    volumeLabels: nonEmptyMap(volume.textMap('Labels')),
    volumeDriver: driver && { name: driver.text('Name'), options: driver.textMap('Options') },
    volumeNoCopy: volume.flag('NoCopy') || undefined,
  });
}

function mountJson(mount: Mount): MountJson {
  const { volumeDriver: driver } = mount;
  const volume = present({
    NoCopy: mount.volumeNoCopy,
    Labels: mount.volumeLabels && { ...mount.volumeLabels },
    DriverConfig: driver && present({ Name: driver.name || undefined, Options: nonEmptyMap({ ...driver.options }) }),
  });
  const tmpfs = present({ SizeBytes: mount.tmpfsSizeBytes, Mode: mount.tmpfsMode });
  return present({
    Type: mount.type,
    Source: mount.source || undefined,
    Target: mount.target,
    ReadOnly: mount.readOnly || undefined,
    BindOptions: mount.propagation && { Propagation: mount.propagation },
    VolumeOptions: nonEmptyMap(volume),
    TmpfsOptions: nonEmptyMap(tmpfs),
  });
}

function periodOrAbsent(spec: Fields, key: string): number | undefined {
  return spec.has(key) ? msFromNanos(spec.number(key)) : undefined;
}

type Present<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

/** The object without its undefined fields: Go leaves them out, and so do stored objects. */
export function present<T extends object>(fields: T): Present<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Present<T>;
}

const copy = (list: readonly string[] | undefined): string[] | undefined => list && [...list];

function nonEmpty<T>(list: T[] | undefined): T[] | undefined {
  return list && list.length > 0 ? list : undefined;
}

function nonEmptyMap<T extends object>(map: T): T | undefined {
  return Object.keys(map).length > 0 ? map : undefined;
}
