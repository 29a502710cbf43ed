// The comparison itself, without engines: every needed row is asked for, and no difference gets lost.
import assert from 'node:assert/strict';
import { Router } from '../../api/router.ts';
import { NEEDED } from './coverage.ts';
import type { Listed } from './differences/listed.ts';
import { factsOf } from './facts.ts';
import { ROWS } from './raw.ts';
import { compare } from './report.ts';

const MEANT: Listed = { request: /info/, lines: /^\+ \.New /, reason: 'newer' };

describe('the comparison of two engines', () => {
  it('asks for every row that clients need', () => {
    const router = new Router<string>();
    for (const row of NEEDED) router.add(...(row.split(' ') as [string, string]), row);
    const asked = ROWS.flatMap((row) => row.steps).map(({ at }) => {
      const [method = '', path = ''] = at.split(' ');
      return router.find(method, path.replace(/\?.*/, ''))?.handler;
    });
    assert.deepEqual(
      NEEDED.filter((row) => !asked.includes(row)),
      [],
    );
  });

  it('tells each difference that is not listed, in either direction', () => {
    const theirs = new Map([['requests: GET /info', ['status 200', '.Old string']]]);
    const ours = new Map([['requests: GET /info', ['status 200', '.New string']]]);
    const report = compare(theirs, ours, [MEANT]);
    assert.deepEqual(report.unlisted, [{ request: 'requests: GET /info', lines: ['- .Old string'] }]);
  });

  it('tells a listed difference that does not occur any more, unless it comes and goes', () => {
    const same = new Map([['requests: GET /info', ['status 200']]]);
    assert.deepEqual(compare(same, same, [MEANT]).unused, [MEANT]);
    assert.deepEqual(compare(same, same, [{ ...MEANT, sometimes: true }]).unused, []);
  });

  it('takes a request that was not answered for a difference', () => {
    assert.equal(compare(new Map([['requests: GET /info', ['status 200']]]), new Map(), []).unlisted.length, 1);
  });

  it('sees types, nothing in the place of something, frames, and the order of events', async () => {
    const answer = (type: string, body: string | Buffer) => ({
      status: 200,
      headers: { 'content-type': type, 'api-version': '1', 'docker-experimental': '', ostype: '', server: '' },
      body: Buffer.from(body),
      cut: false,
    });
    assert.deepEqual(await factsOf(answer('application/json', '{"A":[{"B":1}],"C":null}'), /B/), [
      'status 200',
      'type application/json',
      '. object',
      '.A array',
      '.A[] object',
      '.A[].B = 1',
      '.C null',
    ]);
    const frames = Buffer.from('\x01\0\0\0\0\0\0\x02ab\x02\0\0\0\0\0\0\x01c\x01\0\0\0\0\0\0\x01d', 'latin1');
    const stream = await factsOf(answer('application/vnd.docker.raw-stream', frames), undefined);
    assert.deepEqual(stream.slice(2), ['frame 1 "abd"', 'frame 2 "c"']);
    const events = '{"Type":"container","Action":"die"}\n{"Type":"container","Action":"destroy"}\n';
    assert.equal(
      (await factsOf(answer('application/json', events), undefined)).at(-1),
      'in order: container die, container destroy',
    );
  });
});
