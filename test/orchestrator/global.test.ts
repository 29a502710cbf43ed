import assert from 'node:assert/strict';
import type { Node, NodeAvailability } from '../../proto/objects.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { anUpdateConfig, aTaskSpec } from '../support/objects.ts';

const good = aTaskSpec({ container: { image: 'good:1' } });
const global = { mode: { kind: 'global' as const }, task: good, update: anUpdateConfig({ monitorMs: 0 }) };
const available =
  (availability: NodeAvailability) =>
  (node: Node): Node => ({ ...node, spec: { ...node.spec, availability } });
const labelled =
  (labels: Record<string, string>) =>
  (node: Node): Node => ({ ...node, spec: { ...node.spec, labels } });

describe('a global service', () => {
  it('runs once on every node, also on one that joins later', async () => {
    await using plane = await ControlPlane.start({ nodes: 3 });
    const id = await plane.create(global);
    await plane.until(() => plane.running(id).length === 3);
    await plane.store.update((tx) => tx.nodes.put(plane.nodeNumbered(4)));
    await plane.until(() => plane.running(id).length === 4);
    assert.equal(new Set(plane.running(id).map((task) => task.nodeId)).size, 4);
  });

  it('leaves a drained node and returns with it', async () => {
    await using plane = await ControlPlane.start({ nodes: 2 });
    const id = await plane.create(global);
    await plane.until(() => plane.running(id).length === 2);
    await plane.changeNode(1, available('drain'));
    await plane.until(() => plane.agents.containers.size === 1);
    assert.equal(plane.wanted(id).length, 1);
    await plane.changeNode(1, available('active'));
    await plane.until(() => plane.running(id).length === 2);
  });

  it('keeps what runs on a paused node, and starts nothing there', async () => {
    await using plane = await ControlPlane.start({ nodes: 2 });
    const id = await plane.create(global);
    await plane.until(() => plane.running(id).length === 2);
    await plane.changeNode(1, available('pause'));
    await plane.update(id, (spec) => ({ ...spec, task: aTaskSpec({ container: { image: 'good:2' } }) }));
    await plane.until(() => plane.service(id).updateStatus?.state === 'completed');
    assert.equal(plane.running(id, 'good:1').length, 1);
    assert.equal(plane.running(id, 'good:2').length, 1);
    await plane.changeNode(1, available('active'));
    await plane.until(() => plane.running(id, 'good:2').length === 2);
  });

  it('follows the labels of nodes', async () => {
    await using plane = await ControlPlane.start({ nodes: 3 });
    const placement = { constraints: ['node.labels.edge==yes'], preferences: [], replicasPerNodeMax: 0 };
    const id = await plane.create({ ...global, task: { ...good, placement } });
    await plane.settle();
    assert.equal(plane.tasks(id).length, 0);
    await plane.changeNode(2, labelled({ edge: 'yes' }));
    await plane.until(() => plane.running(id).length === 1);
    await plane.changeNode(2, labelled({}));
    await plane.until(() => plane.tasks(id).length === 0);
  });

  it('does not wait for a lost node in an update, and brings it up to date on its return', async () => {
    await using plane = await ControlPlane.start({ nodes: 3 });
    const id = await plane.create(global);
    await plane.until(() => plane.running(id).length === 3);
    await plane.lose(2);
    await plane.update(id, (spec) => ({ ...spec, task: aTaskSpec({ container: { image: 'good:2' } }) }));
    await plane.until(() => plane.service(id).updateStatus?.state === 'completed');
    assert.equal(plane.running(id, 'good:2').length, 2);
    await plane.bringBack(2);
    await plane.until(() => plane.running(id, 'good:2').length === 3);
    assert.equal(plane.agents.containers.size, 3);
  });

  it('forgets a node that is removed', async () => {
    await using plane = await ControlPlane.start({ nodes: 2 });
    const id = await plane.create(global);
    await plane.until(() => plane.running(id).length === 2);
    await plane.lose(1);
    await plane.store.update((tx) => tx.nodes.remove(plane.nodeNumbered(1).id));
    await plane.until(() => plane.tasks(id).length === 1);
  });

  it('rolls node by node', async () => {
    await using plane = await ControlPlane.start({ nodes: 4 });
    const id = await plane.create({ ...global, update: anUpdateConfig({ parallelism: 1, monitorMs: 0 }) });
    await plane.until(() => plane.running(id).length === 4);
    await plane.update(id, (spec) => ({ ...spec, task: aTaskSpec({ container: { image: 'good:2' } }) }));
    let least = 4;
    await plane.until(() => {
      least = Math.min(least, plane.running(id).length);
      return plane.service(id).updateStatus?.state === 'completed';
    });
    assert.equal(least, 3);
    assert.equal(plane.running(id, 'good:2').length, 4);
  });
});
