/** A training's life as its owner sees it: from a cell on, through a death, a restart of the server and a lost network. */
import type { Locator } from '@playwright/test';
import { expect, round, START_MS, SWARM, swarmIsReady, test, trainingNotebook } from './lab';

// Else galata makes the page's requests itself, and fails the test when the server is away.
test.use({ kernels: null, sessions: null, terminals: null });

const AT_WORK = /Training|Waiting|Exchanging|Merged|Committed/;
const TAB = new RegExp(`^t-\\w+ of ${SWARM}$`);
const ROUNDS_MS = 60_000;

/** It gets at least `more` rounds further. */
async function goesOn(where: Locator, more = 2): Promise<void> {
  const before = await round(where);
  await expect.poll(() => round(where), { timeout: ROUNDS_MS }).toBeGreaterThanOrEqual(before + more);
}

test('a training is followed through all that happens to it', async ({ lab, page, request, server, tmpPath }) => {
  test.setTimeout(300_000);
  await swarmIsReady(request);
  await lab.open();
  await lab.expectsServerAway();
  const line = lab.swarm(SWARM);
  const cell = page.locator('.jp-OutputArea').getByRole('region', { name: /^Training / });
  const tab = page.getByRole('tabpanel', { name: TAB });
  const [inCell, inTab] = [cell, tab].map(where => where.getByRole('progressbar', { name: 'Round' }));

  await test.step('a cell starts it; panel, status bar and cell count its rounds', async () => {
    await lab.notebook(trainingNotebook(SWARM, 400, 0.1), `${tmpPath}/train.ipynb`);
    await page.notebook.runCell(0, { inplace: true });
    await page.notebook.runCell(1, { inplace: true });
    await page.notebook.runCell(2, { inplace: true, wait: false });
    await expect.poll(() => round(line), { timeout: ROUNDS_MS }).toBeGreaterThan(2);
    for (const where of [line, lab.status, inCell]) {
      await goesOn(where);
    }
    const seen = await Promise.all([line, lab.status, inCell].map(round));
    expect(Math.max(...seen) - Math.min(...seen)).toBeLessThan(5);
    await cell.scrollIntoViewIfNeeded();
    await lab.picture('cell');
    await lab.accessible('#swarm-lab-panel', '.jp-OutputArea .swl-Card');
  });

  await test.step('its tab', async () => {
    await lab.training.getByRole('button', { name: 'Open', exact: true }).click();
    await expect(tab.getByRole('slider', { name: 'Round' })).toBeVisible();
    await goesOn(inTab);
    await lab.picture('training');
    await lab.accessible('.swl-Tab');
  });

  await test.step('a node that is killed is marked and comes back', async () => {
    const node = lab.node('sl-2');
    await lab.choose(node, 'Kill Node');
    await expect(node).toContainText(/Lost|Restarting|Starting|Failed/);
    await expect(lab.swarm(SWARM)).toBeVisible();
    await lab.picture('lost');
    await expect(node).toContainText(AT_WORK, { timeout: START_MS });
    await goesOn(line);
  });

  await test.step('its log', async () => {
    await lab.choose(lab.node('sl-1'), 'Open Log');
    await expect(page.getByRole('log')).toContainText('is on the ledger');
    await lab.picture('node');
    await lab.accessible('.swl-Detail');
  });

  await test.step('the server ends and comes back: the page goes on, no round is missed', async () => {
    const before = await round(line);
    await server.stop();
    await expect(lab.panel).toContainText('trying again');
    await server.start();
    await expect(lab.panel).not.toContainText('trying again', { timeout: 40_000 });
    await expect.poll(() => round(line), { timeout: ROUNDS_MS }).toBeGreaterThan(before);
    await page.getByRole('tab', { name: TAB }).click();
    await goesOn(inTab);
  });

  await test.step('the network goes and comes back', async () => {
    const before = await round(line);
    await page.context().setOffline(true);
    await expect(lab.panel).toContainText(/last heard|no connection/, { timeout: 40_000 });
    await page.context().setOffline(false);
    await expect(lab.panel).not.toContainText(/last heard|no connection/, { timeout: 40_000 });
    await expect.poll(() => round(line), { timeout: ROUNDS_MS }).toBeGreaterThan(before);
  });

  await test.step('it is stopped, and every node has the model', async () => {
    await lab.training.getByRole('button', { name: 'Stop…' }).click();
    await lab.answer('Stop training');
    await expect(lab.training).toContainText(/Stopped|Finished/, { timeout: ROUNDS_MS });
    await expect(line).toHaveAccessibleName(/Ready.*3 seats/);
  });
});
