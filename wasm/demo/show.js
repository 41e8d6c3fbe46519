// Elements that show results on the demo page.

/** An element that contains text, never HTML: the text may come from anyone. */
export function text(name, content, className = '') {
  const element = document.createElement(name);
  element.textContent = content;
  element.className = className;
  return element;
}

/** A name and a value: a text with a button to copy it, or a time with a countdown. */
export function shown(name, value) {
  const block = document.createElement('div');
  const row = text('div', '', 'row');
  row.append(text('span', name));
  const content = value instanceof Date ? moment(value) : text('pre', value);
  block.append(row, content);
  if (!(value instanceof Date)) row.append(copyButton(name, content));
  return block;
}

export function showError(result, error) {
  // The labels of the fields are the names of the members.
  const message = error.message.replace(/^(request\.)?url: |^(request|credentials|options|issuer)\./, '');
  result.append(text('p', message, 'bad'));
}

/** Updates every countdown on the page. */
export function countdowns() {
  for (const element of document.querySelectorAll('time + .countdown')) {
    element.textContent = distance(new Date(element.previousElementSibling.dateTime) - Date.now());
  }
}

function moment(date) {
  const line = document.createElement('p');
  const time = text('time', date.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'long' }));
  time.dateTime = date.toISOString();
  const countdown = text('span', distance(date - Date.now()), 'countdown');
  // Otherwise a screen reader would announce each second.
  countdown.role = 'timer';
  line.append(time, countdown);
  return line;
}

function distance(millis) {
  const seconds = Math.abs(Math.round(millis / 1000));
  const two = (number) => String(number).padStart(2, '0');
  const days = Math.floor(seconds / 86400);
  const clock = [Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60].map(two).join(':');
  const length = days > 0 ? `${days} d ${clock}` : clock;
  return millis < 0 ? ` · ${length} ago` : ` · in ${length}`;
}

function copyButton(name, content) {
  const button = text('button', 'Copy', 'small');
  button.type = 'button';
  button.setAttribute('aria-label', `Copy ${name}`);
  const done = (what) => {
    button.textContent = what;
    button.setAttribute('aria-label', `${what}: ${name}`);
  };
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(content.textContent);
      done('Copied');
    } catch {
      // The page may not use the clipboard: select the text, so that the user can copy it.
      getSelection().selectAllChildren(content);
      done('Selected');
    }
  });
  return button;
}
