/** Notebook 7 has neither launcher nor status bar: the panel comes from the palette. */
import { expect, Lab, SWARM, swarmIsReady, test } from './lab';

test.use({ autoGoto: false });

test('Notebook 7 shows the same panel', async ({ context, request }) => {
  await swarmIsReady(request);
  const page = await context.newPage(); // not galata's, which waits for JupyterLab
  const lab = new Lab(page);
  await page.goto('/tree');
  await expect(async () => {
    // While it loads, the page ignores shortcuts, then moves the focus away from the palette.
    await page.keyboard.press('Control+Shift+C');
    await page.getByRole('textbox', { name: 'SEARCH' }).fill('Show Swarms', { timeout: 1000 });
    await page.keyboard.press('Enter');
    await expect(lab.panel).toBeVisible({ timeout: 1000 });
  }).toPass();
  await expect(lab.panel.getByRole('button', { name: 'New swarm', exact: true })).toBeEnabled();
  await expect(lab.swarm(SWARM)).toBeVisible();
});
