import assert from 'node:assert/strict';
import { expand, taskName } from '../../agent/container/template.ts';
import type { NodeId, Task } from '../../proto/objects.ts';
import { anId, aService, aServiceSpec, aTask } from '../support/objects.ts';

const node = { hostname: 'node1', platform: { os: 'linux', architecture: 'x86_64' } };
const service = aService({ spec: aServiceSpec({ labels: { tier: 'front', 'com.example.zone': 'b' } }) });

function task(changes: Partial<Task> = {}): Task {
  return { ...aTask({ nodeId: anId('node', 9), ...changes }, service), version: 1, createdAtMs: 0, updatedAtMs: 0 };
}

describe('templates of a service specification', () => {
  for (const [text, expected] of [
    ['plain', 'plain'],
    ['{{.Service.Name}}', 'web'],
    ['{{ .Service.ID }}', anId('service', 1)],
    ['{{.Service.Labels.tier}}', 'front'],
    ['{{index .Service.Labels "com.example.zone"}}', 'b'],
    ['{{index .Service.Labels "absent"}}', ''],
    ['{{.Task.ID}}', anId('task', 1)],
    ['{{.Task.Name}}', `web.1.${anId('task', 1)}`],
    ['{{.Task.Slot}}', '1'],
    ['{{.Node.ID}}', anId('node', 9)],
    ['{{.Node.Hostname}}', 'node1'],
    ['{{.Node.Platform.OS}}/{{.Node.Platform.Architecture}}', 'linux/x86_64'],
    ['a {{- .Task.Slot -}} b', 'a1b'],
    ['N={{.Task.Slot}}-{{.Task.Slot}}', 'N=1-1'],
    ['{"json": {"slot": {{.Task.Slot}}}}', '{"json": {"slot": 1}}'],
  ] as const) {
    it(`makes '${expected}' of '${text}'`, () => assert.equal(expand(text, { task: task(), node }, 'env'), expected));
  }

  for (const [text, sentence] of [
    ['{{.Service.Nmae}}', /^expanding env failed: \{\{\.Service\.Nmae\}\} is not known; there are \.Service\.ID, /],
    ['{{.Service.Labels.absent}}', /^expanding env failed: the service has no label absent$/],
    ['{{.Service.Labels.constructor}}', /the service has no label constructor/],
    ['{{constructor}}', /\{\{constructor\}\} is not known/],
    ['{{.Task.Slot', /an action in "\{\{\.Task\.Slot" is not closed/],
    ['{{}}', /\{\{\}\} is not known/],
    ['{{range .Service.Labels}}', /is not known/],
  ] as const) {
    it(`refuses '${text}'`, () =>
      assert.throws(() => expand(text, { task: task(), node }, 'env'), { code: 'invalid', message: sentence }));
  }

  it('names a global task after its node', () => {
    const nodeId = anId('node', 9) as NodeId;
    assert.equal(taskName(task({ identity: { kind: 'node', nodeId } })), `web.${nodeId}.${anId('task', 1)}`);
  });
});
