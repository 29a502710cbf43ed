import assert from 'node:assert/strict';
import { allocatePorts, portOwners } from '../../manager/allocator/ports.ts';
import type { PortConfig, Service, ServiceId } from '../../proto/objects.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { anId, aService, aServiceSpec, aTaskSpec } from '../support/objects.ts';

const ingress = (publishedPort: number, targetPort = 80): PortConfig => ({
  protocol: 'tcp',
  targetPort,
  publishedPort,
  publishMode: 'ingress',
});
const host = (publishedPort: number): PortConfig => ({ ...ingress(publishedPort), publishMode: 'host' });

function publishing(number: number, ports: readonly PortConfig[], endpointPorts?: readonly PortConfig[]): Service {
  const spec = aServiceSpec({ name: `s${number}`, endpoint: { mode: 'vip', ports } });
  const meta = { version: 1, createdAtMs: 0, updatedAtMs: 0 };
  return {
    ...aService({ id: anId('service', number) as ServiceId, spec }),
    ...meta,
    ...(endpointPorts && { endpointPorts }),
  };
}

describe('published ports', () => {
  it('keep the number they ask for', () => {
    assert.deepEqual(allocatePorts(publishing(1, [ingress(8080)]), new Map()), { ok: true, ports: [ingress(8080)] });
  });

  it('get a free one from 30000 on, by protocol', () => {
    const udp: PortConfig = { ...ingress(0), protocol: 'udp' };
    const taken = portOwners([publishing(2, [ingress(30_000)])]);
    const answer = allocatePorts(publishing(1, [ingress(0), ingress(0, 81), udp]), taken);
    assert.deepEqual(answer.ok && answer.ports.map((port) => port.publishedPort), [30_001, 30_002, 30_000]);
  });

  it('keep a number once it was given', () => {
    const service = publishing(1, [ingress(0), ingress(9_000, 90)], [ingress(31_234)]);
    const answer = allocatePorts(service, portOwners([service]));
    assert.deepEqual(answer.ok && answer.ports.map((port) => port.publishedPort), [31_234, 9_000]);
  });

  it('leave host mode to the node', () => {
    assert.deepEqual(allocatePorts(publishing(1, [host(0)]), new Map()), { ok: true, ports: [host(0)] });
  });

  it('say who has the one that is asked for', () => {
    const answer = allocatePorts(publishing(1, [ingress(8080)]), portOwners([publishing(2, [ingress(8080)])]));
    assert.deepEqual(answer, { ok: false, reason: "port 8080/tcp is already published by service 's2'" });
  });

  it('say when none is left', () => {
    const all = Array.from({ length: 2_768 }, (_, index) => ingress(30_000 + index));
    const answer = allocatePorts(publishing(1, [ingress(0)]), portOwners([publishing(2, all)]));
    assert.deepEqual(answer, { ok: false, reason: 'no port from 30000 to 32767 is free for tcp' });
  });
});

describe('the allocator', () => {
  const published = (...ports: PortConfig[]) => ({
    task: aTaskSpec({ container: { image: 'good:1' } }),
    endpoint: { mode: 'vip' as const, ports },
  });

  it('gives the service its ports and its tasks with them', async () => {
    await using plane = await ControlPlane.start({ nodes: 1 });
    const id = await plane.create(published(ingress(0), host(9_000)));
    await plane.until(() => plane.running(id).length === 1);
    assert.deepEqual(plane.service(id).endpointPorts, [ingress(30_000), host(9_000)]);
    assert.deepEqual(plane.running(id)[0]?.ports, [ingress(30_000), host(9_000)]);
  });

  it('lets later tasks be born with them', async () => {
    await using plane = await ControlPlane.start({ nodes: 1 });
    const id = await plane.create(published(ingress(0)));
    await plane.until(() => plane.running(id).length === 1);
    await plane.scale(id, 3);
    await plane.settle();
    assert.ok(plane.tasks(id).every((task) => task.status.state !== 'new'));
  });

  it('gives a number back with its service', async () => {
    await using plane = await ControlPlane.start({ nodes: 1 });
    const first = await plane.create(published(ingress(0)));
    await plane.settle();
    await plane.remove(first);
    const second = await plane.create(published(ingress(0)));
    await plane.settle();
    assert.deepEqual(plane.service(second).endpointPorts, [ingress(30_000)]);
  });

  it('replaces the tasks when ports change, and keeps the numbers it gave', async () => {
    await using plane = await ControlPlane.start({ nodes: 1 });
    const id = await plane.create(published(ingress(0)));
    await plane.until(() => plane.running(id).length === 1);
    await plane.update(id, (spec) => ({ ...spec, endpoint: { mode: 'vip', ports: [ingress(0), ingress(0, 81)] } }));
    await plane.until(() => plane.service(id).updateStatus?.state === 'completed');
    const ports = [ingress(30_000), ingress(30_001, 81)];
    assert.deepEqual(plane.service(id).endpointPorts, ports);
    assert.deepEqual(plane.running(id)[0]?.ports, ports);
  });

  it('costs no commit where nothing is published', async () => {
    await using plane = await ControlPlane.start({ nodes: 1 });
    const id = await plane.create({ task: aTaskSpec({ container: { image: 'good:1' } }) });
    await plane.settle();
    assert.equal(plane.service(id).endpointPorts, undefined);
    assert.equal(plane.service(id).version, plane.service(id).specVersion);
  });
});
