import assert from 'node:assert/strict';
import { volumesFrom } from '../../api/convert/volumes-from.ts';
import { parseContainerConfig } from '../../api/convert/container-config.ts';
import { codeOf, fail } from '../../base/errors.ts';
import type { ContainerInfo } from '../../runtime/container/contract.ts';

const other = {
  mounts: [
    {
      type: 'volume',
      name: 'data',
      source: '/v/data',
      target: '/data',
      driver: 'local',
      readOnly: false,
      propagation: '',
    },
    { type: 'bind', name: '', source: '/etc', target: '/host', driver: '', readOnly: true, propagation: 'rslave' },
    { type: 'tmpfs', name: '', source: '', target: '/tmp', driver: '', readOnly: false, propagation: '' },
  ],
} as unknown as ContainerInfo;
const containers = { get: (name: string) => (name === 'db' ? other : fail('invalid', `No such container: ${name}`)) };
const body = (...from: string[]) => ({ Image: 'busybox', HostConfig: { VolumesFrom: from } });

describe('volumes of other containers', () => {
  it('are shared by name or path, without temporary file systems', () => {
    const mounts = volumesFrom(body('db'), containers).map((mount) => [
      mount.type,
      mount.source,
      mount.target,
      mount.readOnly,
    ]);
    assert.deepEqual(mounts, [
      ['volume', 'data', '/data', false],
      ['bind', '/etc', '/host', true],
    ]);
  });

  it('are all read-only when asked', () =>
    assert.ok(volumesFrom(body('db:ro'), containers).every(({ readOnly }) => readOnly)));

  it('give way to what the container names itself', () => {
    const own = { Image: 'busybox', HostConfig: { Binds: ['/mine:/data'], VolumesFrom: ['db'] } };
    const { mounts } = parseContainerConfig(own, '', volumesFrom(own, containers));
    assert.deepEqual(
      mounts.map(({ source }) => source),
      ['/mine', '/etc'],
    );
  });

  it('are refused from a container that is not there, or in an unknown mode', () => {
    assert.throws(
      () => volumesFrom(body('nobody'), containers),
      (error) => codeOf(error) === 'invalid',
    );
    assert.throws(
      () => volumesFrom(body('db:x'), containers),
      (error) => codeOf(error) === 'invalid',
    );
  });
});
