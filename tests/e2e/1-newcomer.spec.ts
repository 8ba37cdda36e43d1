/** Who has never seen a swarm brings one up: the empty panel, the form, mistakes in its YAML, the nodes coming up. */
import { expect, START_MS, SWARM, test, YAML } from './lab';

test('a newcomer brings a swarm up from the form', async ({ lab, page }) => {
  test.setTimeout(180_000);
  await test.step('the empty panel says what a swarm is', async () => {
    await expect(lab.status).toHaveAccessibleName('No swarm');
    await lab.open();
    await expect(lab.panel).toContainText('Only model parameters travel, encrypted.');
    await expect(lab.panel.getByRole('button', { name: 'Start a demo swarm' })).toBeEnabled();
    await lab.picture('empty');
    await lab.accessible('#swarm-lab-panel');
  });

  const yaml = page.getByRole('textbox', { name: 'YAML of the swarm' });
  const start = page.getByRole('button', { name: 'Start swarm' });
  const write = async (text: string): Promise<void> => {
    await yaml.click();
    await page.keyboard.press('ControlOrMeta+A');
    await page.keyboard.insertText(text);
  };
  await test.step('the form and the file are the same thing', async () => {
    await lab.panel.getByRole('button', { name: 'New swarm', exact: true }).click();
    const count = page.getByRole('spinbutton', { name: /Learning nodes/i });
    await expect(count).toHaveValue('4');
    await count.fill('3');
    await expect(yaml).toContainText('sl: 3');
  });

  await test.step('a line that does not fit is marked', async () => {
    await write(YAML.replace('sl: 3', 'sl: many'));
    await expect(page.locator('.swl-Yaml-bad')).toHaveText('sl: many');
    await expect(page.getByRole('status').filter({ hasText: 'Correct 1 field first: sl' })).toBeVisible();
    await expect(start).toBeDisabled();
    await lab.picture('form');
    await lab.accessible('.swl-NewSwarm');
    await write('name: [');
    await expect(page.locator('.swl-Yaml-bad')).toHaveCount(1);
    await expect(start).toBeDisabled();
  });

  await test.step('it comes up', async () => {
    await write(YAML);
    await expect(start).toBeEnabled();
    await start.click();
    await expect(lab.swarm(SWARM)).toHaveAccessibleName(/starting/i);
    for (const node of ['license', 'identity', 'chain', 'sentinel', 'sl-1', 'sl-2', 'sl-3']) {
      await expect(lab.node(node)).toContainText('Ready', { timeout: START_MS });
    }
    await expect(lab.swarm(SWARM)).toHaveAccessibleName(/Ready.*3 seats/);
    await expect(lab.status).toHaveAccessibleName(`${SWARM}, 3 seats`);
    await lab.accessible('#swarm-lab-panel', '#jp-main-statusbar .swl-Status');
  });
});
