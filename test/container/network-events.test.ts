import assert from 'node:assert/strict';
import { CodedError } from '../../base/errors.ts';
import { publishPlace } from '../../runtime/container/network-places.ts';

const typeOf = (networkName: string, driver?: string): unknown => {
  const told: { attributes: Readonly<Record<string, string>> }[] = [];
  const get = () => {
    if (driver === undefined) throw new CodedError('not-found', `network ${networkName} not found`);
    return { driver } as never;
  };
  const parts = { publish: (event: (typeof told)[number]) => void told.push(event), networks: { get } };
  publishPlace(parts, { id: 'c' } as never, { networkId: 'n', networkName } as never, 'connect');
  return told[0]?.attributes['type'];
};

describe('the event of a container in a network', () => {
  for (const [name, driver, type] of [
    ['bridge', 'bridge', 'bridge'],
    ['host', 'host', 'host'],
    ['none', 'null', 'null'],
    ['own', 'bridge', 'bridge'],
    ['lan', 'macvlan', 'macvlan'],
    ['vlan', 'ipvlan', 'ipvlan'],
    ['back', 'overlay', 'overlay'],
    ['gone', undefined, 'overlay'],
  ] as const) {
    it(`says ${type} of ${name}`, () => assert.equal(typeOf(name, driver), type));
  }
});
