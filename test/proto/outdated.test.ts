import { strict as assert } from 'node:assert';
import { differenceFrom } from '../../proto/outdated.ts';
import { aService, aTask } from '../support/objects.ts';

describe('a task beside its service', () => {
  const service = { ...aService(), version: 1, createdAtMs: 0, updatedAtMs: 0 };
  const task = { ...aTask(), spec: service.spec.task, ports: [] };
  const withTask = (change: object) => ({
    ...service,
    specVersion: 2,
    spec: { ...service.spec, task: { ...service.spec.task, ...change } },
  });

  it('differs by another image, not by another password for its registry', () => {
    const old = { ...task, specVersion: 1 };
    assert.equal(differenceFrom(withTask({ imageDigest: 'sha256:1' }), old), 'specification');
    assert.equal(differenceFrom(withTask({ registryAuth: 'another' }), old), 'none');
  });
});
