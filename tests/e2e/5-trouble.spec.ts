/** What goes wrong around a page that is open: its login ends, the package is upgraded, files go or grow. */
import { appendFileSync, renameSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { expect, SWARM, swarmIsReady, test } from './lab';

// Else galata makes the page's requests itself, and fails the test when the server is away.
test.use({ kernels: null, sessions: null, terminals: null });

const FOLDER = join(process.env.SWARM_LAB_HOME!, 'data', 'swarm-lab', 'swarms', SWARM);
const BACK_MS = 40_000;

test('a page says what is wrong, and goes on when it is mended', async ({ lab, page, request, server }) => {
  test.setTimeout(240_000);
  await swarmIsReady(request);
  await lab.open();
  await lab.expectsServerAway();
  const line = lab.swarm(SWARM);
  const again = lab.panel.getByRole('button', { name: 'Try again' });
  await expect(line).toHaveAccessibleName(/Ready/);

  /** By the button, if the page has not found out by itself that the server is as it was. */
  async function mended(): Promise<void> {
    await server.stop();
    await server.start();
    await expect(async () => {
      if (await again.isVisible()) {
        await again.click({ timeout: 1000 });
      }
      await expect(line).toHaveAccessibleName(/Ready/, { timeout: 2000 });
    }).toPass({ timeout: BACK_MS });
  }

  await test.step('a file of the swarm is missing', async () => {
    const file = join(FOLDER, 'swarm.json');
    renameSync(file, `${file}.away`);
    await expect(lab.panel.getByRole('alert')).toContainText(`${SWARM} cannot be read`, { timeout: BACK_MS });
    await lab.picture('unreadable');
    renameSync(`${file}.away`, file);
    await expect(line).toHaveAccessibleName(/Ready/, { timeout: BACK_MS });
  });

  await test.step('a log of a gigabyte opens at its end, and is searched from there', async () => {
    const log = join(FOLDER, 'nodes', 'sl-1', 'log.jsonl');
    truncateSync(log, 2 ** 30); // takes no room on the disk
    appendFileSync(log, '\n{"level": "warning", "message": "the needle"}\n');
    await lab.choose(lab.node('sl-1'), 'Open Log');
    await expect(page.getByRole('log')).toContainText('the needle');
    await page.getByRole('searchbox', { name: 'Search the log' }).fill('needle');
    await expect(page.getByRole('log').locator('mark').first()).toHaveText('needle');
  });

  await test.step('the login has ended', async () => {
    await server.stop();
    await page.context().clearCookies();
    await server.start({ TOKEN: 'another' });
    await expect(lab.panel).toContainText('Your login on this server has ended', { timeout: BACK_MS });
    await lab.picture('login');
    await mended();
  });

  await test.step('the package was upgraded under the page', async () => {
    await server.stop();
    await server.start({ NEXT_API: '1' });
    await expect(lab.panel).toContainText('are of different versions', { timeout: BACK_MS });
    await lab.picture('upgraded');
    await mended();
  });
});
