// Expressions for the page are texts, because this program is compiled without a browser's types.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type Browser, chromium, type Page } from 'playwright-core';
import { TestCluster } from '../support/cluster.ts';
import { requireRoot, requireTool } from '../support/requirements.ts';

const CHROMIUM = '/usr/bin/chromium';
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const WATCH_VERSIONS = `
  window.bothVersionsSeen = false;
  new MutationObserver(() => {
    const versions = new Set([...document.querySelectorAll('.task')].map((box) => box.getAttribute('data-version')));
    if (versions.has('v1') && versions.has('v2')) window.bothVersionsSeen = true;
  }).observe(document.body, { subtree: true, childList: true, attributes: true });
`;

describe('the dashboard in a browser', () => {
  const cluster = new TestCluster(`t${randomBytes(2).toString('hex')}`);
  let browser: Browser | undefined;
  let page: Page;

  before(async function () {
    requireRoot(this);
    requireTool(this, CHROMIUM);
    const output = await cluster.start();
    const link = /http:\/\/\S+\?token=\S+/.exec(output)?.[0] ?? '';
    browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
    page = await browser.newPage();
    await page.goto(link);
  });

  after(async () => {
    await browser?.close();
    await cluster.stop();
  });

  /** Counts from here: the page's policy forbids evaluating texts in it again and again. */
  const boxes = (count: number, withinMs: number): Promise<unknown> =>
    cluster.until(async () => (await page.locator('.task[data-wanted="true"].running').count()) === count, {
      withinMs,
      what: `${count} boxes`,
    });

  it('has a column for each node and a box for each task', async () => {
    await boxes(3, 5_000);
    assert.equal(await page.locator('.node').count(), 3);
    assert.equal(await page.locator('.role.leader').count(), 1);
  });

  it('shows as many boxes as there are tasks within a second of a scale', async () => {
    await cluster.docker(1, 'service', 'scale', '-d', 'demo_web=9');
    await cluster.running(1, 'demo_web', 9);
    await boxes(9, 1_000);
  });

  it('scales by its buttons', async () => {
    await page.getByLabel('one demo_web fewer').click();
    await cluster.running(1, 'demo_web', 8);
    await boxes(8, 1_000);
  });

  it('shows both versions during a roll', async () => {
    await page.evaluate(WATCH_VERSIONS);
    const update = ['service', 'update', '-q', '-d', '--no-resolve-image', '--image', 'shoal-demo:v2', 'demo_web'];
    await cluster.docker(1, ...update);
    await cluster.running(1, 'demo_web', 8, { image: 'shoal-demo:v2' });
    await page.waitForSelector('.task[data-version="v2"]');
    assert.equal(await page.evaluate('window.bothVersionsSeen'), true);
  });

  it('turns the column of a node grey whose link is down', async () => {
    cluster.inNode(3, 'ip', 'link', 'set', 'eth0', 'down');
    try {
      await page.waitForSelector('.node.down[data-node="node3"]', { timeout: 10_000 });
    } finally {
      cluster.inNode(3, 'ip', 'link', 'set', 'eth0', 'up');
    }
    await page.waitForSelector('.node.down', { state: 'detached', timeout: 15_000 });
  });
});
