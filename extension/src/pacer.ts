/** Lets a surface draw at most four times a second, the last state always, and not while nobody can see it. */

export const DRAW_MS = 250;

export interface IVisibility {
  hidden(): boolean;
  /** Calls back each time that the page is shown again. */
  onShown(callback: () => void): void;
}

/** That of a browser's tab. */
export const page: IVisibility = {
  hidden: () => document.hidden,
  onShown: callback =>
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) {
        callback();
      }
    })
};

export class Pacer {
  constructor(
    private readonly _draw: () => void,
    private readonly _visibility: IVisibility
  ) {
    _visibility.onShown(() => this._dirty && this._run());
  }

  /** Something has changed: draw now if the last drawing is long enough ago, else when it is. */
  poke(): void {
    this._dirty = true;
    if (this._timer !== undefined || this._visibility.hidden()) {
      return;
    }
    const wait = this._drawn + DRAW_MS - Date.now();
    if (wait <= 0) {
      this._run();
    } else {
      this._timer = setTimeout(() => this._run(), wait);
    }
  }

  dispose(): void {
    clearTimeout(this._timer);
    this._dirty = false;
  }

  private _run(): void {
    clearTimeout(this._timer);
    this._timer = undefined;
    if (!this._visibility.hidden()) {
      this._dirty = false;
      this._drawn = Date.now();
      this._draw();
    }
  }

  private _dirty = false;
  private _drawn = 0;
  private _timer: ReturnType<typeof setTimeout> | undefined;
}
