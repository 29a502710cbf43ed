// The body of /containers/create (Config, HostConfig and NetworkingConfig in one) as the runtime's ContainerConfig.
// Strict: a wrong type is refused naming its field, and what we cannot do yet is refused instead of being forgotten.
import { fail } from '../../base/errors.ts';
import type { Json } from '../../base/parse.ts';
import type { ContainerConfig, ContainerMount } from '../../runtime/container/contract.ts';
import { checkedMac, parseAttachment, parseLink } from './attachment.ts';
import { parseBind, parseMount } from './container-mounts.ts';
import { Fields } from './fields.ts';
import { parseHealthCheck } from './health.ts';
import { parseLimits, parseRestart, refuseUnsupportedResources } from './host-limits.ts';
import { expandPorts, parsePortBindings } from './ports.ts';

const CONTAINER_NAME = /^\/?[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;
const LABEL_BYTES_MAX = 1_000_000;

export function requireContainerName(name: string): string {
  if (!CONTAINER_NAME.test(name)) {
    fail('invalid', `Invalid container name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
  }
  return name.replace(/^\//, '');
}

/** `inherited` are the mounts of the containers that VolumesFrom names; see volumes-from.ts. */
export function parseContainerConfig(
  body: Json,
  name: string,
  inherited: readonly ContainerMount[] = [],
): ContainerConfig {
  const config = new Fields(body);
  const host = config.object('HostConfig');
  refuseUnsupported(config, host);
  const network = networkOf(config, host);
  const image = config.text('Image');
  if (Object.keys(body).length === 0) fail('invalid', 'Config cannot be empty in order to create a container');
  if (image === '') fail('invalid', 'no image specified: Image must not be empty');
  return {
    name: name === '' ? '' : requireContainerName(name),
    image,
    ...processOf(config),
    ...stdioOf(config),
    ...isolationOf(host),
    labels: labelsOf(config),
    hostname: config.text('Hostname'),
    domainName: config.text('Domainname'),
    groups: host.texts('GroupAdd'),
    healthCheck: parseHealthCheck(config.objectOrAbsent('Healthcheck')),
    exposedPorts: config
      .keys('ExposedPorts')
      .flatMap(expandPorts)
      .map(({ port, protocol }) => `${port}/${protocol}`),
    publish: parsePortBindings(host),
    publishAll: host.flag('PublishAllPorts'),
    ...network,
    dns: { servers: host.texts('Dns'), search: host.texts('DnsSearch'), options: host.texts('DnsOptions') },
    extraHosts: host.texts('ExtraHosts').map(checkedHost),
    mounts: mountsOf(config, host, inherited),
    tmpfs: host.textMap('Tmpfs'),
    limits: parseLimits(host),
    restart: parseRestart(host),
    autoRemove: autoRemoveOf(host),
    runtime: host.text('Runtime'),
    logDriver: logDriverOf(host),
    asRequested: body,
  };
}

function refuseUnsupported(config: Fields, host: Fields): void {
  config.refuse('OnBuild', 'ONBUILD triggers of a container are');
  host.refuse('DeviceRequests', 'requesting devices such as GPUs is');
  host.refuse('StorageOpt', 'storage options are');
  refuseUnsupportedResources(host);
  const volumeDriver = host.text('VolumeDriver');
  if (volumeDriver !== '' && volumeDriver !== 'local') fail('not-found', `plugin "${volumeDriver}" not found`);
  const usernsMode = host.text('UsernsMode');
  if (usernsMode !== '' && usernsMode !== 'host') {
    fail('invalid', `invalid USER mode: ${usernsMode}`);
  }
  const isolation = host.text('Isolation');
  if (isolation !== '' && isolation !== 'default') fail('invalid', `invalid isolation: "${isolation}"`);
}

function processOf(config: Fields) {
  const entrypoint = config.wordsOrAbsent('Entrypoint');
  const command = config.wordsOrAbsent('Cmd');
  return {
    // `--entrypoint ""` arrives as [""] and means: none, not even the image's.
    entrypoint: entrypoint?.length === 1 && entrypoint[0] === '' ? [] : entrypoint,
    command: command?.length === 0 ? undefined : command,
    env: config.texts('Env').map((entry) => checkedEnv(entry)),
    workingDirectory: checkedDirectory(config.text('WorkingDir')),
    user: config.text('User'),
    stopSignal: config.text('StopSignal'),
    stopGraceMs: config.has('StopTimeout') ? config.integer('StopTimeout', { min: -1 }) * 1000 : -1,
  };
}

function stdioOf(config: Fields) {
  return {
    terminal: config.flag('Tty'),
    openStdin: config.flag('OpenStdin'),
    stdinOnce: config.flag('StdinOnce'),
  };
}

function isolationOf(host: Fields) {
  const shmBytes = host.integer('ShmSize', {});
  if (shmBytes < 0) fail('invalid', 'SHM size can not be less than 0');
  return {
    readOnlyRoot: host.flag('ReadonlyRootfs'),
    init: host.flag('Init'),
    privileged: host.flag('Privileged'),
    capabilityAdd: host.wordsOrAbsent('CapAdd') ?? [],
    capabilityDrop: host.wordsOrAbsent('CapDrop') ?? [],
    securityOptions: host.texts('SecurityOpt'),
    ulimits: host.objects('Ulimits').map(parseUlimit),
    sysctls: host.textMap('Sysctls'),
    devices: host.objects('Devices').map((device) => ({
      hostPath: device.text('PathOnHost'),
      containerPath: device.text('PathInContainer'),
      access: device.text('CgroupPermissions') || 'rwm',
    })),
    deviceRules: host.texts('DeviceCgroupRules'),
    // An empty list is systempaths=unconfined; null is the default.
    ...(host.has('MaskedPaths') ? { maskedPaths: host.texts('MaskedPaths') } : {}),
    ...(host.has('ReadonlyPaths') ? { readOnlyPaths: host.texts('ReadonlyPaths') } : {}),
    ...consoleSizeOf(host),
    pidMode: host.text('PidMode'),
    ipcMode: host.text('IpcMode'),
    utsMode: host.text('UTSMode'),
    cgroupNamespaceMode: host.text('CgroupnsMode'),
    cgroupParent: host.text('CgroupParent'),
    shmBytes,
    oomScoreAdjustment: oomScoreOf(host),
  };
}

export function consoleSizeOf(from: Fields): { consoleSize?: { rows: number; columns: number } } {
  const size = from.raw('ConsoleSize');
  if (!Array.isArray(size) || size.length !== 2) return {};
  const [rows, columns] = size.map((value: unknown) =>
    new Fields({ value }, from.path('ConsoleSize')).integer('value', { min: 0, max: 65_535 }),
  );
  return rows && columns ? { consoleSize: { rows, columns } } : {};
}

export function parseUlimit(limit: Fields): { name: string; soft: number; hard: number } {
  const name = limit.text('Name');
  if (!/^[a-z]+$/.test(name)) fail('invalid', `${limit.path('Name')}: invalid ulimit type: ${name}`);
  const soft = limit.integer('Soft', { min: -1 });
  const hard = limit.integer('Hard', { min: -1 });
  if (hard !== -1 && (soft === -1 || soft > hard)) {
    fail('invalid', `ulimit soft limit must be less than or equal to hard limit: ${soft} > ${hard}`);
  }
  return { name, soft, hard };
}

function labelsOf(config: Fields): Record<string, string> {
  const labels = config.textMap('Labels');
  if (JSON.stringify(labels).length > LABEL_BYTES_MAX)
    fail('invalid', `Labels are larger than ${LABEL_BYTES_MAX} bytes`);
  return labels;
}

function checkedEnv(entry: string): string {
  if (entry === '' || entry.startsWith('=')) fail('invalid', `invalid environment variable: ${entry}`);
  return entry;
}

function checkedDirectory(path: string): string {
  if (path !== '' && !path.startsWith('/')) {
    fail('invalid', `the working directory '${path}' is invalid, it needs to be an absolute path`);
  }
  return path;
}

function checkedHost(entry: string): string {
  if (!/^[^:=\s]+[:=]\S+$/.test(entry)) fail('invalid', `bad format for add-host: "${entry}"`);
  return entry;
}

function oomScoreOf(host: Fields): number {
  const score = host.integer('OomScoreAdj');
  if (Math.abs(score) > 1000) fail('invalid', `Invalid value ${score}, range for oom score adj is [-1000, 1000]`);
  return score;
}

/** Networks by the names that were asked for; the mode's one comes first, with the options of the container itself. */
function networkOf(
  config: Fields,
  host: Fields,
): Pick<ContainerConfig, 'network' | 'networkAliases' | 'macAddress' | 'attachments'> {
  const endpoints = config.object('NetworkingConfig').object('EndpointsConfig');
  const asked = Object.keys(endpoints.json);
  const mode = host.text('NetworkMode');
  if (mode === 'container:') fail('invalid', 'invalid network mode: invalid container format container:<name|id>');
  const chosen = realNetwork(mode === '' || mode === 'default' ? (asked[0] ?? '') : mode);
  const network = config.flag('NetworkDisabled') ? 'none' : chosen;
  const others = asked.filter((name) => realNetwork(name) !== chosen);
  const own = endpoints.object(asked.find((name) => realNetwork(name) === chosen) ?? chosen);
  const macAddress = checkedMac(own.text('MacAddress') || config.text('MacAddress'));
  const links = (host.textsOrAbsent('Links') ?? []).map(parseLink);
  const first = { ...parseAttachment(network, own), macAddress };
  const attachments = [
    { ...first, links: [...first.links, ...links] },
    ...others.map((name) => parseAttachment(realNetwork(name), endpoints.object(name))),
  ];
  return { network, networkAliases: first.aliases, macAddress, attachments };
}

const realNetwork = (name: string): string => (name === '' || name === 'default' ? 'bridge' : name);

/** What is named here wins over what is inherited, and both over the image's and anonymous volumes. */
function mountsOf(config: Fields, host: Fields, inherited: readonly ContainerMount[]): ContainerMount[] {
  const listed = [...host.texts('Binds').map(parseBind), ...host.objects('Mounts').map(parseMount)];
  const taken = new Set<string>();
  for (const { target } of listed) {
    if (taken.has(target)) fail('invalid', `Duplicate mount point: ${target}`);
    taken.add(target);
  }
  const others = [...inherited, ...config.keys('Volumes').map(parseBind)];
  for (const mount of others) {
    if (taken.has(mount.target)) continue;
    taken.add(mount.target);
    listed.push(mount);
  }
  return listed;
}

function autoRemoveOf(host: Fields): boolean {
  const autoRemove = host.flag('AutoRemove');
  const policy = host.object('RestartPolicy').text('Name');
  if (autoRemove && policy !== '' && policy !== 'no') {
    fail('invalid', "can't create 'AutoRemove' container with restart policy");
  }
  return autoRemove;
}

function logDriverOf(host: Fields) {
  const log = host.object('LogConfig');
  const name = log.text('Type') || 'json-file';
  if (!['json-file', 'local', 'none'].includes(name)) {
    fail('invalid', `logger: no log driver named '${name}' is registered`);
  }
  return { name, options: log.textMap('Config') };
}
