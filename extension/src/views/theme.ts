/** The theme's colours for what is drawn on a canvas: read again whenever the theme changes. */

/** Resolves `--swl-*` of an element to colours that a canvas takes. */
export class Colours {
  constructor(host: HTMLElement) {
    this._probe = document.createElement('span');
    this._probe.hidden = true;
    host.append(this._probe);
  }

  get(variable: string): string {
    this._probe.style.color = `var(${variable})`;
    return getComputedStyle(this._probe).color || 'currentcolor';
  }

  private _probe: HTMLElement;
}

/** Calls back when JupyterLab, Voila or VS Code change the theme; returns how to end that. */
export function onTheme(changed: () => void): () => void {
  const observer = new MutationObserver(changed);
  const attributeFilter = ['data-jp-theme-name', 'data-jp-theme-light', 'data-vscode-theme-kind', 'class'];
  observer.observe(document.body, { attributes: true, attributeFilter });
  const query = typeof matchMedia === 'undefined' ? null : matchMedia('(prefers-color-scheme: dark)');
  query?.addEventListener('change', changed);
  return () => {
    observer.disconnect();
    query?.removeEventListener('change', changed);
  };
}
