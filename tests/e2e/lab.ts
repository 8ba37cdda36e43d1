/** JupyterLab with swarms in it, as somebody uses it: what the browser tests do and look for, by role and name. */
import AxeBuilder from '@axe-core/playwright';
import { expect, type IJupyterLabPageFixture, test as base } from '@jupyterlab/galata';
import type { APIRequestContext, APIResponse, Locator, Page } from '@playwright/test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Server } from './server';

export { expect };

const ROOT = join(__dirname, '..', '..');
const API = '/swarm-lab/api';
/** How long a swarm may take to be ready, on a machine that does much else. */
export const START_MS = 90_000;
export const SWARM = 'ward';
export const YAML = `name: ${SWARM}\nsl: 3\nframework: sklearn\n`;
const THEMES = ['JupyterLab Light', 'JupyterLab Dark'];

export const test = base.extend<{ lab: Lab }, { server: Server }>({
  server: [
    async ({}, use) => {
      const server = new Server();
      await server.start();
      await use(server);
      await server.stop();
    },
    { scope: 'worker', auto: true, timeout: 120_000 }
  ],
  lab: async ({ page, server: _ }, use) => {
    const outside = outsideRequests(page);
    await use(new Lab(page));
    expect(outside, 'requests that leave the server').toEqual([]);
  }
});

/** One browser tab; that of galata, or another one beside it. */
export class Lab {
  readonly panel: Locator;
  readonly status: Locator;

  constructor(readonly page: Page) {
    this.panel = page.getByRole('region', { name: 'Swarm lab', exact: true });
    this.status = page.locator('#jp-main-statusbar').getByTitle('Show the swarms in the side panel');
  }

  async open(): Promise<void> {
    if (!(await this.panel.isVisible())) {
      await this.status.click();
    }
    await expect(this.panel).toBeVisible();
  }

  /** The line of a swarm in the panel; its name says what it is doing. */
  swarm(name: string): Locator {
    return this.panel.getByRole('option', { name: new RegExp(`\\b${name}\\b`) });
  }

  node(name: string): Locator {
    const header = this.page.getByRole('rowheader', { name: new RegExp(`\\b${name}$`) });
    return this.panel.getByRole('treegrid').getByRole('row').filter({ has: header });
  }

  /** The card of the training that runs or ran last. */
  get training(): Locator {
    return this.panel.getByRole('group', { name: /^Training / });
  }

  /** From the context menu of something. */
  async choose(on: Locator, item: string): Promise<void> {
    await on.click({ button: 'right' });
    await this.page.getByRole('menuitem', { name: item }).click();
  }

  /** Press the button of the question that is asked. */
  async answer(button: string): Promise<void> {
    await this.page.getByRole('dialog').getByRole('button', { name: button }).click();
  }

  /** Upload a notebook and open it; the side panel stays as it is. */
  async notebook(text: string, path: string): Promise<void> {
    const page = this.page as IJupyterLabPageFixture;
    await page.contents.uploadContent(text, 'text', path);
    await this.run('docmanager:open', { path });
    await page.notebook.activate(path.split('/').pop()!);
  }

  /** JupyterLab's own words on a server that is away; it goes on by itself, but its dialogs stay. */
  async expectsServerAway(): Promise<void> {
    const away = this.page.getByRole('dialog', { name: /Server Connection Error|File Save Error|Failed to fetch/ });
    // One may follow the other.
    await this.page.addLocatorHandler(away, () => away.getByRole('button').last().click(), { noWaitAfter: true });
  }

  async run(command: string, args: Record<string, string> = {}): Promise<void> {
    await this.page.evaluate(
      async ([id, given]) => {
        await window.jupyterapp.commands.execute(id, given); // what it returns cannot leave the page
      },
      [command, args] as const
    );
  }

  /** No view may have a finding, in either theme. */
  async accessible(...selectors: string[]): Promise<void> {
    // JupyterLab's body is 0 pixels high: axe would take all in it for hidden and skip contrast.
    await this.page.addStyleTag({ content: 'body { height: 100vh }' });
    for (const theme of THEMES) {
      await this.theme(theme);
      for (const selector of selectors) {
        // Syntax colours and toolbar buttons are JupyterLab's own.
        const axe = new AxeBuilder({ page: this.page }).include(selector).exclude('.cm-line').exclude('jp-button');
        axe.disableRules('label-content-name-mismatch'); // experimental: reads the texts of an SVG as one word
        const { violations } = await axe.analyze();
        const found = violations.map(({ id, nodes }) => ({ id, nodes: nodes.map(node => node.html.slice(0, 200)) }));
        expect(found, `${selector} in ${theme}`).toEqual([]);
      }
    }
    await this.theme(THEMES[0]);
  }

  async theme(name: string): Promise<void> {
    await (this.page as IJupyterLabPageFixture).theme.setTheme(name);
  }

  /** For the README, when asked for. */
  async picture(name: string): Promise<void> {
    if (!process.env.PICTURES) {
      return;
    }
    for (const theme of THEMES) {
      await this.theme(theme);
      const path = join(process.env.PICTURES, `lab-${name}-${theme.split(' ')[1].toLowerCase()}.png`);
      await this.page.screenshot({ path });
    }
    await this.theme(THEMES[0]);
  }
}

/** The round that a progress bar, a button or a line speaks of, -1 if none: "round 18 of 40". */
export async function round(where: Locator): Promise<number> {
  const said = await where.evaluateAll(nodes =>
    nodes.map(node => node.getAttribute('aria-valuetext') ?? node.getAttribute('aria-label') ?? node.textContent)
  );
  return Number(/round\s+(\d+)/i.exec(said[0] ?? '')?.[1] ?? -1);
}

/** The swarm of most tests, at rest; an earlier test that failed may have left it away or training. */
export async function swarmIsReady(request: APIRequestContext): Promise<void> {
  const { swarms } = await (await request.get(`${API}/snapshot`)).json();
  const found = swarms.find((one: { swarm: string }) => one.swarm === SWARM);
  if (!found || found.state === 'stopped') {
    await done(request, await request.post(`${API}/swarms`, { data: { yaml: YAML } }));
  }
  for (const { id, state } of found?.trainings ?? []) {
    if (state === 'running') {
      await done(request, await request.post(`${API}/swarms/${SWARM}/trainings/${id}/stop`));
    }
  }
}

async function done(request: APIRequestContext, asked: APIResponse): Promise<void> {
  const { id } = await asked.json();
  const state = async (): Promise<string> => (await (await request.get(`${API}/operations/${id}`)).json()).state;
  await expect.poll(state, { timeout: START_MS }).toBe('done');
}

/** The addresses asked for that are not the server's; read it when the page is done. */
function outsideRequests(page: Page): string[] {
  const outside: string[] = [];
  const note = (address: string): void => {
    const { protocol, hostname } = new URL(address);
    if (!['data:', 'blob:'].includes(protocol) && hostname !== '127.0.0.1') {
      outside.push(address);
    }
  };
  page.on('request', request => note(request.url()));
  page.on('websocket', socket => note(socket.url()));
  return outside;
}

/** Without a kernel's name JupyterLab would ask for one. */
export function emptyNotebook(): string {
  const kernelspec = { name: 'python3', display_name: 'Python 3 (ipykernel)', language: 'python' };
  return JSON.stringify({ cells: [], metadata: { kernelspec }, nbformat: 4, nbformat_minor: 5 });
}

/** A notebook that trains: the cells of the welcome notebook, for another swarm and as long as it is wanted. */
export function trainingNotebook(swarm: string, passes: number, pause: number): string {
  const notebook = JSON.parse(readFileSync(join(ROOT, 'notebooks', 'welcome.ipynb'), 'utf-8'));
  const sources = notebook.cells
    .filter((cell: { cell_type: string }) => cell.cell_type === 'code')
    .map((cell: { source: string[] }) => cell.source.join('')) as string[];
  const [parameters, , data, program] = sources;
  const changed = parameters.replace(/passes = \d+/, `passes = ${passes}`).replace(/pause = [\d.]+/, `pause = ${pause}`);
  const cells = [`%load_ext swarm_lab\n${changed}`, data, program.replace('--name welcome', `--name ${swarm}`)];
  notebook.cells = cells.map((source, index) => ({
    cell_type: 'code',
    id: `cell-${index}`,
    metadata: {},
    source,
    outputs: [],
    execution_count: null
  }));
  return JSON.stringify(notebook);
}
