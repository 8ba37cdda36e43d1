/**
 * Browser tests: JupyterLab and Notebook 7, served by one Jupyter Server that `lab.ts` starts and restarts.
 * CHROMIUM names the browser to use; without it Playwright looks for one that it has downloaded.
 */
const galata = require('@jupyterlab/galata/lib/playwright-config');

const port = process.env.SWARM_LAB_PORT ?? '18888';
const baseURL = `http://127.0.0.1:${port}`;
process.env.TARGET_URL = baseURL; // galata's own helpers read this one

module.exports = {
  ...galata,
  testDir: '.',
  testMatch: process.env.FIGURES ? 'figures.spec.ts' : '[0-9]*.spec.ts',
  outputDir: process.env.SWARM_LAB_RESULTS ?? 'results',
  reporter: 'list',
  // They share one server, one data directory and, most of them, one swarm.
  workers: 1,
  // A machine that others use may starve a browser once; each test begins by putting the swarm right.
  retries: process.env.CI ? 1 : 0,
  timeout: 120000,
  expect: { timeout: 15000 },
  use: {
    ...galata.use,
    baseURL,
    viewport: { width: 1440, height: 900 },
    trace: 'off',
    screenshot: 'only-on-failure',
    video: 'off', // needs an ffmpeg that only Playwright's own download has
    launchOptions: {
      executablePath: process.env.CHROMIUM,
      args: [
        '--no-sandbox', // containers run as root
        '--disable-gpu',
        '--disable-quic',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync'
      ]
    }
  }
};
