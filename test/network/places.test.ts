import assert from 'node:assert/strict';
import type { Endpoint } from '../../runtime/network/contract.ts';
import { gatewayEndpoint, Places } from '../../runtime/network/places.ts';

const endpoint = (networkName: string, more: Partial<Endpoint> = {}): Endpoint =>
  ({
    id: networkName,
    networkName,
    sandboxPath: '/ns/1',
    interfaceName: 'eth0',
    gateway: '10.0.0.1',
    ...more,
  }) as Endpoint;

describe('containers in several networks', () => {
  it('lead outside through the highest priority, then the first by name, never through an internal one', () => {
    const internal = endpoint('a', { gateway: '' });
    assert.equal(gatewayEndpoint([endpoint('c'), endpoint('b'), internal])?.networkName, 'b');
    assert.equal(gatewayEndpoint([endpoint('c', { gatewayPriority: 1 }), endpoint('b')])?.networkName, 'c');
    assert.equal(gatewayEndpoint([internal]), undefined);
  });

  it('number their interfaces with the lowest that is free', () => {
    const places = new Places();
    places.add(endpoint('a'));
    places.add(endpoint('b', { interfaceName: 'eth1' }));
    places.add(endpoint('c', { interfaceName: 'eth2' }));
    assert.equal(places.nextInterface('/ns/1'), 3);
    places.remove(endpoint('b'));
    assert.equal(places.nextInterface('/ns/1'), 1);
  });

  it('give their namespace up with the last network, unless it is kept', () => {
    const places = new Places();
    places.add(endpoint('a'));
    places.add(endpoint('b'));
    assert.equal(places.remove(endpoint('a')), false);
    places.keep('/ns/1');
    assert.equal(places.remove(endpoint('b')), false);
    places.add(endpoint('c'));
    assert.equal(places.release('/ns/1'), false);
    assert.equal(places.remove(endpoint('c')), true);
    assert.throws(() => places.mustHave('/ns/1'), { code: 'not-found' });
  });
});
