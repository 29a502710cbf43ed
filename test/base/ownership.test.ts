import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Background } from '../../base/background.ts';
import { BoundedQueue } from '../../base/bounded-queue.ts';
import { codeOf } from '../../base/errors.ts';
import { removeIfThere, writeFileAtomic } from '../../base/files.ts';
import { Scope } from '../../base/scope.ts';

describe('a scope', () => {
  it('undoes in reverse order', async () => {
    const undone: number[] = [];
    {
      await using scope = new Scope();
      for (const number of [1, 2, 3]) scope.defer(() => undone.push(number));
    }
    assert.deepEqual(undone, [3, 2, 1]);
  });

  it('undoes nothing that was handed over', async () => {
    const undone: number[] = [];
    let heir: Scope;
    {
      await using scope = new Scope();
      scope.defer(() => undone.push(1));
      heir = scope.handOver();
    }
    assert.deepEqual(undone, []);
    await heir[Symbol.asyncDispose]();
    assert.deepEqual(undone, [1]);
  });

  it('tries every step although one fails', async () => {
    const undone: number[] = [];
    const scope = new Scope();
    scope.defer(() => undone.push(1));
    scope.defer(() => {
      throw new Error('stuck');
    });
    await assert.rejects(() => scope[Symbol.asyncDispose](), /stuck/);
    assert.deepEqual(undone, [1]);
  });
});

describe('background work', () => {
  it('tells its owner of a failure, by name, but not of its own end', async () => {
    const failures: string[] = [];
    const background = new Background({ onFailure: (name) => failures.push(name) });
    background.run('breaks', () => Promise.reject(new Error('broken')));
    background.run(
      'waits',
      (abort) => new Promise((_, reject) => abort.addEventListener('abort', () => reject(abort.reason))),
    );
    await background.stop();
    assert.deepEqual(failures, ['breaks']);
  });
});

describe('a bounded queue', () => {
  const drained = async (queue: BoundedQueue<number>): Promise<unknown[]> => {
    const items: unknown[] = [];
    for await (const item of queue.drain()) items.push(item);
    return items;
  };

  it('keeps order up to its end', async () => {
    const queue = new BoundedQueue<number>({ lengthMax: 10, whenFull: 'fail' });
    for (const item of [1, 2, 3]) queue.push(item);
    queue.end();
    assert.deepEqual(await drained(queue), [1, 2, 3]);
  });

  it('says resync instead of growing past its bound', async () => {
    const queue = new BoundedQueue<number>({ lengthMax: 2, whenFull: 'drop-and-resync' });
    for (const item of [1, 2, 3, 4]) queue.push(item);
    queue.end();
    assert.deepEqual(await drained(queue), ['resync', 4]);
  });

  it('refuses past its bound when told to', () => {
    const queue = new BoundedQueue<number>({ lengthMax: 1, whenFull: 'fail' });
    queue.push(1);
    assert.throws(
      () => queue.push(2),
      (error) => codeOf(error) === 'exhausted',
    );
  });

  it('throws the error it was ended with, after what was queued', async () => {
    const queue = new BoundedQueue<number>({ lengthMax: 5, whenFull: 'fail' });
    queue.push(1);
    queue.end(new Error('cut'));
    await assert.rejects(drained(queue), /cut/);
  });
});

describe('files', () => {
  it('are replaced whole, with their mode, leaving no temporary file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'files-'));
    try {
      const path = join(folder, 'a');
      await writeFileAtomic(path, 'one');
      await writeFileAtomic(path, 'two', { mode: 0o640 });
      assert.equal(readFileSync(path, 'utf8'), 'two');
      assert.equal(statSync(path).mode & 0o777, 0o640);
      assert.equal(await removeIfThere(path), true);
      assert.equal(await removeIfThere(path), false);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
