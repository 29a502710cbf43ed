import assert from 'node:assert/strict';
import { encodeJson, parseDescription } from '../../proto/assignment.ts';
import { aNode } from '../support/objects.ts';

describe('what a node says of itself', () => {
  const { description } = aNode();
  const encryptionIn = (encryption: unknown): unknown =>
    parseDescription(encodeJson({ ...description, encryption })).encryption;

  it('is taken as it was said', () => {
    assert.deepEqual(parseDescription(encodeJson(description)), description);
    assert.equal(encryptionIn(undefined), undefined);
    assert.deepEqual(encryptionIn([]), []);
    assert.deepEqual(encryptionIn(['tunnel', 'esp']), ['esp', 'tunnel']);
  });

  it('may name means of encryption that only a later version knows, and any of them many times', () => {
    assert.deepEqual(encryptionIn(['tunnel', 'quantum', 'tunnel']), ['tunnel']);
    assert.throws(() => encryptionIn('tunnel'), { code: 'invalid', message: /description\.encryption/ });
    assert.throws(() => encryptionIn([7]), { code: 'invalid' });
  });
});
