// Which differences touch what clients rely on, and which of them the published description proves.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Contract } from './contract.ts';
import type { Listed } from './differences/listed.ts';
import { touchedBy } from './kinds.ts';

const DESCRIPTION = `
definitions:
  Endpoint: { type: object, properties: { Names: { type: array, items: { type: string } } } }
paths:
  /things/json:
    get:
      responses:
        200:
          schema:
            type: array
            items:
              type: object
              properties:
                Names: { type: array, items: { type: string } }
                Limit: { type: integer, x-nullable: true }
                Networks: { type: object, additionalProperties: { $ref: '#/definitions/Endpoint' } }
        400: {}
  /things/{id}/json:
    get: { responses: { 200: {}, 404: {} } }
`;

describe('what a difference touches', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kinds-'));
  let contract: Contract;
  before(() => {
    const path = join(folder, 'description.yaml');
    writeFileSync(path, DESCRIPTION);
    contract = new Contract(path);
  });
  after(() => rmSync(folder, { recursive: true }));

  const entry: Listed = { request: /./, lines: /./, reason: 'x' };
  const told = (request: string, ...lines: readonly string[]): string[] =>
    touchedBy({ request, lines: lines.map((line) => ({ line, entry })) }, contract).map(
      ({ kind, line, because }) => `${kind}: ${line}${because ? ' is proven' : ''}`,
    );
  const LIST = 'requests: GET /things/json?all=1';

  for (const [what, lines, expected] of [
    ['a status that is described', ['- status 500', '+ status 400'], ['status code: + status 400 is proven']],
    ['a status that is not', ['- status 400', '+ status 418'], ['status code: + status 418']],
    ['a key that left the API', ['- [].Old number'], ['shape: - [].Old number is proven']],
    ['a key of the API that we lack', ['- [].Names array'], ['shape: - [].Names array']],
    ['a key that only we have', ['+ [].Ours string'], ['shape: + [].Ours string']],
    ['null where a list is described', ['- [].Names null'], ['shape: - [].Names null is proven']],
    ['null where it may be', ['- [].Limit null'], ['shape: - [].Limit null']],
    [
      'our null in the place of a list',
      ['- [].Names array', '+ [].Names null'],
      ['shape: - [].Names array', 'shape: + [].Names null'],
    ],
    ['a key behind a free one', ['- [].Networks.a.b.Names null'], ['shape: - [].Networks.a.b.Names null is proven']],
    ['an entry with a free key', ['- [].Networks.a object', '- [].Networks.a.Names array'], []],
    ['a list that is empty here', ['- [] object', '- [].Names array'], []],
    ['values and other words', ['- [].Names = "a"', '+ message what a pity'], []],
    ['an exit code', ['- code 1', '+ code 2'], ['exit code: + code 2']],
    [
      'a text that clients match',
      ['- message No such image: x', '+ message there is no x'],
      ['matched text: /no such image/i (docker-py, compose 1, dockerode users)'],
    ],
  ] as const) {
    it(`knows ${what}`, () => assert.deepEqual(told(LIST, ...lines), expected));
  }

  it('takes the path with a name for the one that says so', () => {
    assert.equal(contract.allows('GET', '/things/json', 404), false);
    assert.equal(contract.allows('GET', '/things/a/json?size=1', 404), true);
    assert.equal(contract.allows('GET', '/nothing', 404), undefined);
  });
});
