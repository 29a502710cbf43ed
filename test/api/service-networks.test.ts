import { strict as assert } from 'node:assert';
import { withNetworksByName } from '../../api/convert/service-networks.ts';
import { fail } from '../../base/errors.ts';
import type { NetworkInfo, Networks } from '../../runtime/network/contract.ts';
import { aServiceSpec, aTaskSpec } from '../support/objects.ts';

const LOCAL = [
  { id: 'b'.repeat(64), name: 'bridge' },
  { id: 'c'.repeat(64), name: 'mine' },
];
const networks: Pick<Networks, 'get'> = {
  get: (text) =>
    (LOCAL.find(({ id, name }) => id.startsWith(text) || name === text) as NetworkInfo | undefined) ??
    fail('not-found', `network ${text} not found`),
};
const on = (target: string) => aServiceSpec({ task: aTaskSpec({ networks: [{ target, aliases: ['db'] }] }) });

describe('the networks of a service', () => {
  for (const [target, expected] of [
    ['b'.repeat(64), 'bridge'],
    ['bridge', 'bridge'],
    ['swarmnet', 'swarmnet'],
  ] as const) {
    it(`${target.slice(0, 8)} travels as ${expected}`, () => {
      const [attachment] = withNetworksByName(on(target), networks).task.networks;
      assert.deepEqual(attachment, { target: expected, aliases: ['db'] });
    });
  }

  it('are refused when they are of this machine only', () =>
    assert.throws(() => withNetworksByName(on('mine'), networks), {
      code: 'forbidden',
      message: /^The network mine cannot be used with services\. Only networks scoped to the swarm/,
    }));
});
