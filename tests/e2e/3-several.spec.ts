/** Two tabs, a notebook and the Running panel on one swarm: they agree, also when somebody was quicker. */
import { emptyNotebook, expect, Lab, START_MS, SWARM, swarmIsReady, test } from './lab';

test('two tabs agree, and who comes second is told', async ({ lab, page, context, request, tmpPath }) => {
  test.setTimeout(180_000);
  await swarmIsReady(request);
  await lab.open();

  await test.step('a node that is dragged into a notebook is a cell that attaches', async () => {
    await lab.notebook(emptyNotebook(), `${tmpPath}/drag.ipynb`);
    const notebook = page.locator('.jp-Notebook:visible');
    await lab.node('sl-1').hover();
    await page.mouse.down();
    const box = (await notebook.boundingBox())!;
    await page.mouse.move(box.x + 300, box.y + 60, { steps: 10 });
    await page.mouse.move(box.x + 320, box.y + 30, { steps: 5 });
    await page.mouse.up();
    await expect(notebook).toContainText(`swarm = Swarm.attach("${SWARM}")`);
    await page.notebook.run();
    await expect(notebook.locator('.jp-OutputArea-output').last()).toContainText(' info ');
    await expect(notebook.locator('[data-mime-type="application/vnd.jupyter.stderr"]')).toHaveCount(0);
  });

  const second = new Lab(await context.newPage());
  await second.page.goto('/lab/workspaces/second?reset');
  await second.page.locator('#jupyterlab-splash').waitFor({ state: 'detached' });
  await second.open();
  await expect(second.swarm(SWARM)).toHaveAccessibleName(/Ready.*3 seats/);

  await test.step('a node is added in one and seen in the other', async () => {
    await lab.panel.getByRole('button', { name: 'Add learning nodes' }).click();
    await lab.answer('Add nodes');
    for (const one of [lab, second]) {
      await expect(one.node('sl-4')).toContainText('Ready', { timeout: START_MS });
    }
  });

  await test.step('an action on a node that is just gone', async () => {
    await second.choose(second.node('sl-4'), 'Remove Node…');
    await lab.choose(lab.node('sl-4'), 'Remove Node…');
    await lab.answer('Remove node');
    await expect(lab.node('sl-4')).toHaveCount(0, { timeout: 30_000 });
    await second.answer('Remove node');
    await expect(second.page.getByText(/sl-4 was already removed/).first()).toBeVisible();
  });

  await test.step('both stop it, one of them in the Running panel', async () => {
    await second.choose(second.swarm(SWARM), 'Stop Swarm…');
    await lab.page.getByRole('tab', { name: /Running/ }).click();
    const section = lab.page.getByRole('region', { name: 'Swarms section' });
    const item = section.getByRole('treeitem', { name: SWARM });
    await item.hover();
    await lab.picture('running');
    await Promise.all([item.getByTitle('Stop').click(), second.answer('Stop swarm')]);
    await expect(item).toHaveCount(0, { timeout: 30_000 });
    await lab.open();
    for (const one of [lab, second]) {
      await expect(one.swarm(SWARM)).toHaveAccessibleName(/Stopped/, { timeout: 30_000 });
      await expect(one.page.getByText(/failed|SWL-(?!133)/)).toHaveCount(0);
    }
  });
});
