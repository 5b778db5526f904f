const button = document.getElementById('copy');
const command = document.getElementById('command');

function select() {
  const range = document.createRange();
  range.selectNodeContents(command);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
}

async function copy() {
  try {
    await navigator.clipboard.writeText(command.textContent);
    button.textContent = 'Copied';
  } catch {
    select();
    button.textContent = 'Selected';
  }
  setTimeout(() => {
    button.textContent = 'Copy';
  }, 2000);
}

button.hidden = false;
button.addEventListener('click', copy);

const INVITATION = 'Point at the chart, or tap it, for the figures of an hour.';

/** Shows under a chart over time what its table says of the hour pointed at. */
function follow(figure) {
  const readout = figure.querySelector('.readout');
  const heads = [...figure.querySelectorAll('thead th')].map((cell) => cell.textContent);
  const rows = figure.querySelector('tbody').rows;
  const clear = () => {
    readout.textContent = INVITATION;
    for (const mark of figure.querySelectorAll('.pointer')) mark.remove();
  };
  const show = (event) => {
    const svg = event.currentTarget;
    const { left, right, hours } = svg.dataset;
    const frame = svg.viewBox.baseVal;
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * frame.width;
    const row = rows[Math.floor(((x - left) / (right - left)) * hours)];
    clear();
    if (row === undefined) return;
    const cells = [...row.cells].map((cell) => cell.textContent);
    readout.textContent = cells.map((text, index) => (index === 0 ? text : `${heads[index]} ${text}`)).join(' · ');
    const mark = document.createElementNS(svg.namespaceURI, 'line');
    for (const [name, value] of Object.entries({ class: 'pointer', x1: x, x2: x, y1: 0, y2: frame.height - 34 })) {
      mark.setAttribute(name, value);
    }
    svg.append(mark);
  };
  for (const svg of figure.querySelectorAll('svg')) {
    svg.addEventListener('pointermove', show);
    svg.addEventListener('pointerdown', show);
    svg.addEventListener('pointerleave', clear);
  }
  clear();
}

for (const figure of document.querySelectorAll('.timed')) follow(figure);
