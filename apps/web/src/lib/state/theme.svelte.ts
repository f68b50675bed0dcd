// Light, dark, or as the system says. The choice is kept in the browser; app.html applies it before the first paint.

export const THEMES = ['system', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

const KEY = 'circuitscope:theme';

export class ThemeChoice {
  chosen: Theme = $state('system');

  /** In the page alone: the server does not know. */
  load(): void {
    const theme = document.documentElement.dataset.theme;
    this.chosen = theme === 'light' || theme === 'dark' ? theme : 'system';
  }

  choose(theme: Theme): void {
    this.chosen = theme;
    if (theme === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    try {
      if (theme === 'system') localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, theme);
    } catch {
      // A browser that keeps nothing still shows what was chosen.
    }
  }
}
