import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { instanceOf, vethName } from '../../runtime/network/instance.ts';
import { checkRequest } from '../../runtime/network/network-table.ts';
import { type Registry, RegistryFile } from '../../runtime/network/registry.ts';

const REGISTRY: Registry = {
  networks: [
    {
      id: 'a'.repeat(64),
      name: 'bridge',
      driver: 'bridge',
      createdAtMs: 5,
      internal: false,
      attachable: true,
      labels: { a: 'b' },
      options: {},
      bridge: { name: 'shoal0', subnet: '172.17.0.0/16', gateway: '172.17.0.1' },
      pools6: [{ subnet: 'fd00::/64', gateway: 'fd00::1', range: '', auxiliary: {} }],
    },
  ],
  host: { namespace: 'boot net:[1]', sysctls: { 'ipv4/ip_forward': '0' } },
};

describe('the registry of networks', () => {
  let directory = '';
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'networks-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('starts empty and is read as it was written', async () => {
    const file = new RegistryFile(join(directory, 'network'));
    assert.deepEqual(await file.load(), { networks: [], host: undefined });
    await file.save(REGISTRY);
    assert.deepEqual(await new RegistryFile(join(directory, 'network')).load(), REGISTRY);
    assert.equal(await readFile(join(directory, 'network/format'), 'utf8'), '1\n');
  });

  it('refuses a format from the future, and says which', async () => {
    const file = new RegistryFile(directory);
    await file.load();
    await writeFile(join(directory, 'format'), '2\n');
    await assert.rejects(file.load(), { code: 'invalid', message: /format is format 2, written by a newer version/ });
  });

  for (const text of ['{', '[]', '{"networks":[{}]}', '{"networks":[{"id":7}]}', '{"networks":{}}']) {
    it(`refuses ${text}`, async () => {
      await writeFile(join(directory, 'networks.json'), text);
      await assert.rejects(new RegistryFile(directory).load(), { code: 'invalid' });
    });
  }
});

describe('names in the kernel', () => {
  it('differ between daemons and stay the same for one', () => {
    const [one, two] = [instanceOf('/var/lib/shoal'), instanceOf('/var/lib/shoal2')];
    assert.deepEqual(one, instanceOf('/var/lib/shoal'));
    for (const key of ['table', 'bridge', 'vethPrefix', 'linkGroup'] as const) assert.notEqual(one[key], two[key]);
  });

  it('fit the 15 characters of a link', () => {
    const instance = instanceOf('/a');
    assert.ok(instance.bridge.length <= 15);
    assert.equal(vethName(instance, '0123456789ab').length, 15);
  });
});

describe('a request for a network', () => {
  for (const [driver, code] of [
    ['overlay', 'not-implemented'],
    ['host', 'forbidden'],
    ['null', 'forbidden'],
    ['weave', 'not-found'],
  ] as const) {
    it(`with driver ${driver} is ${code}`, () => {
      assert.throws(() => checkRequest({ name: 'n', driver }), { code });
    });
  }

  it('for an overlay names the way out', () => {
    assert.throws(() => checkRequest({ name: 'n', driver: 'overlay' }), { message: /swarm/ });
  });
});
