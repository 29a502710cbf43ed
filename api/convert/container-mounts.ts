// Mounts of containers: `-v` strings (Binds, Volumes), `--mount` objects, and back for inspect and ps.
import { fail } from '../../base/errors.ts';
import { asOneOf, optional } from '../../base/parse.ts';
import type { ContainerInfo, ContainerMount } from '../../runtime/container/contract.ts';
import type { MountPoint } from '../types/container.ts';
import type { Fields } from './fields.ts';

export const PROPAGATIONS = ['private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave'] as const;
const VOLUME_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;
const MODES: ReadonlySet<string> = new Set([
  'ro',
  'rw',
  'z',
  'Z',
  'nocopy',
  'cached',
  'consistent',
  'delegated',
  'rbind',
]);

/** `source:target[:options]`, or `target` alone for an anonymous volume. */
export function parseBind(text: string): ContainerMount {
  const parts = text.split(':');
  const invalid = (): never => fail('invalid', `invalid volume specification: '${text}'`);
  if (parts.length > 3 || parts.some((part) => part === '')) invalid();
  const [first = '', second, options = ''] = parts;
  const source = second === undefined ? '' : first;
  const target = second ?? first;
  if (!target.startsWith('/')) {
    fail(
      'invalid',
      `invalid volume specification: '${text}': invalid mount config for type "volume": invalid mount path: '${target}' mount path must be absolute`,
    );
  }
  if (normalPath(target) === '/')
    fail('invalid', `invalid volume specification: '${text}': invalid mount config: destination can't be '/'`);
  const words = options === '' ? [] : options.split(',');
  const isPath = source.startsWith('/');
  const propagation = words.find((word) => PROPAGATIONS.some((known) => known === word)) ?? '';
  if (words.some((word) => !MODES.has(word) && word !== propagation)) fail('invalid', `invalid mode: ${options}`);
  if (source !== '' && !isPath) requireVolumeName(source);
  return {
    type: isPath ? 'bind' : 'volume',
    source,
    target,
    readOnly: words.includes('ro'),
    propagation,
    tmpfsOptions: '',
    noCopy: words.includes('nocopy'),
    createSource: isPath,
  };
}

export function requireVolumeName(name: string): void {
  if (VOLUME_NAME.test(name)) return;
  fail(
    'invalid',
    `create ${name}: "${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
  );
}

const normalPath = (path: string): string => path.replace(/\/+/g, '/').replace(/(.)\/$/, '$1');

/** One entry of HostConfig.Mounts. */
export function parseMount(mount: Fields): ContainerMount {
  const type = asOneOf(mount.raw('Type'), mount.path('Type'), ['bind', 'volume', 'tmpfs', 'image', 'npipe', 'cluster']);
  if (type === 'image' || type === 'npipe' || type === 'cluster') {
    fail('not-implemented', `${mount.path('Type')}: mounts of type ${type} are not implemented yet`);
  }
  const target = mount.text('Target');
  if (target === '') fail('invalid', `invalid mount config for type "${type}": field Target must not be empty`);
  if (!target.startsWith('/')) {
    fail(
      'invalid',
      `invalid mount config for type "${type}": invalid mount path: '${target}' mount path must be absolute`,
    );
  }
  const source = mount.text('Source');
  if (type === 'bind' && source === '')
    fail('invalid', 'invalid mount config for type "bind": field Source must not be empty');
  if (type === 'bind' && !source.startsWith('/')) {
    fail(
      'invalid',
      `invalid mount config for type "bind": invalid mount path: '${source}' mount path must be absolute`,
    );
  }
  if (type === 'tmpfs' && source !== '')
    fail('invalid', 'invalid mount config for type "tmpfs": field Source must not be specified');
  if (type === 'volume' && source !== '') requireVolumeName(source);
  const bind = mount.object('BindOptions');
  checkOptions(mount, bind);
  return {
    type,
    source,
    target,
    readOnly: mount.flag('ReadOnly'),
    propagation: optionalPropagation(bind) ?? '',
    tmpfsOptions: type === 'tmpfs' ? tmpfsOptions(mount.object('TmpfsOptions')) : '',
    noCopy: mount.object('VolumeOptions').flag('NoCopy'),
    createSource: bind.flag('CreateMountpoint'),
    ...belowOf(mount, bind),
    ...volumeOf(type, mount.object('VolumeOptions')),
  };
}

function checkOptions(mount: Fields, bind: Fields): void {
  const name = mount.object('VolumeOptions').object('DriverConfig').text('Name');
  if (name !== '' && name !== 'local') fail('not-found', `plugin "${name}" not found`);
  const isReadOnly = mount.flag('ReadOnly');
  for (const option of ['ReadOnlyNonRecursive', 'ReadOnlyForceRecursive']) {
    if (bind.flag(option) && !isReadOnly)
      fail('invalid', `invalid mount config for type "bind": mount must be read-only to use ${option}`);
  }
}

/** Read-only holds for everything below a source unless the mount says otherwise; every kernel we run on can do that. */
function belowOf(mount: Fields, bind: Fields): Pick<ContainerMount, 'below'> {
  if (bind.flag('NonRecursive')) return { below: 'left-out' };
  return mount.flag('ReadOnly') && bind.flag('ReadOnlyNonRecursive') ? { below: 'writable' } : {};
}

function volumeOf(type: string, options: Fields): Pick<ContainerMount, 'subpath' | 'volume'> {
  if (type !== 'volume') return {};
  const subpath = options.text('Subpath');
  if (subpath.startsWith('/') || subpath.split('/').includes('..')) {
    fail('invalid', 'invalid mount config for type "volume": subpath must be a relative path within the volume');
  }
  return {
    ...(subpath === '' ? {} : { subpath }),
    volume: { labels: options.textMap('Labels'), options: options.object('DriverConfig').textMap('Options') },
  };
}

export function optionalPropagation(bind: Fields): (typeof PROPAGATIONS)[number] | undefined {
  if (bind.text('Propagation') === '') return undefined;
  return optional(bind.raw('Propagation'), bind.path('Propagation'), (value, path) =>
    asOneOf(value, path, PROPAGATIONS),
  );
}

function tmpfsOptions(options: Fields): string {
  const size = options.integer('SizeBytes', { min: 0 });
  const mode = options.integer('Mode', { min: 0 });
  const further = options.lists('Options').map((words) => words.join('='));
  return [...(size > 0 ? [`size=${size}`] : []), ...(mode > 0 ? [`mode=${mode.toString(8)}`] : []), ...further].join(
    ',',
  );
}

export function mountPoints(info: ContainerInfo): MountPoint[] {
  const modes = modesOf(info);
  return info.mounts.map((mount) => ({
    Type: mount.type,
    ...(mount.type === 'volume' ? { Name: mount.name } : {}),
    Source: mount.source,
    Destination: mount.target,
    ...(mount.type === 'volume' ? { Driver: mount.driver } : {}),
    Mode: modes.get(mount.target) ?? (mount.type === 'volume' ? 'z' : ''),
    RW: !mount.readOnly,
    Propagation: mount.type === 'bind' ? mount.propagation || 'rprivate' : '',
  }));
}

/** Target → what stood behind it in `-v source:target:mode`. */
function modesOf({ config }: ContainerInfo): ReadonlyMap<string, string> {
  const host = config.asRequested['HostConfig'];
  if (typeof host !== 'object' || host === null || !('Binds' in host) || !Array.isArray(host.Binds)) return new Map();
  const parts = host.Binds.map((bind: unknown) => String(bind).split(':'));
  return new Map(parts.flatMap(([, target, mode]) => (target && mode ? [[target, mode] as const] : [])));
}
