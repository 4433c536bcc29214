// Tables are sorted by the head of a column and filtered by a word; the page is complete without it.
document.querySelectorAll('.scroll table').forEach(function (table) {
  if (!table.tHead || !table.tBodies.length) return;
  var body = table.tBodies[0];
  function cell(row, column) { return row.cells[column] ? row.cells[column].textContent.trim() : ''; }
  function number(text) { // '1,234', '−∞' and '0.5 [0.4, 0.6]' are numbers; '–' stands for none
    var plain = text.replace(/(\d),(?=\d{3})/g, '$1').replace(/\u2212/g, '-').replace(/∞|\binf\b/g, 'Infinity');
    return parseFloat(plain);
  }
  Array.from(table.tHead.rows[0].cells).forEach(function (head) {
    var button = document.createElement('button');
    button.type = 'button';
    while (head.firstChild) button.appendChild(head.firstChild);
    head.appendChild(button);
    button.addEventListener('click', function () {
      var column = head.cellIndex, up = head.getAttribute('aria-sort') !== 'ascending';
      Array.from(table.tHead.rows[0].cells).forEach(function (other) { other.removeAttribute('aria-sort'); });
      head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
      Array.from(body.rows).sort(function (p, q) {
        var x = cell(p, column), y = cell(q, column), m = number(x), n = number(y);
        var none = (x === '' || x === '–') - (y === '' || y === '–');
        if (none) return none; // what is missing stays below, whichever way
        if (isNaN(m) !== isNaN(n)) return isNaN(m) - isNaN(n);
        var order = isNaN(m) ? x.localeCompare(y) : (m < n ? -1 : m > n ? 1 : 0);
        return up ? order : -order;
      }).forEach(function (row) { body.appendChild(row); });
    });
  });
  if (body.rows.length < 6) return;
  var bar = document.createElement('p'), label = document.createElement('label');
  var field = document.createElement('input'), count = document.createElement('span');
  bar.className = 'filter';
  field.type = 'search';
  count.setAttribute('role', 'status');
  label.append('Rows with ', field);
  bar.append(label, count);
  field.addEventListener('input', function () {
    var wanted = field.value.trim().toLowerCase(), shown = 0;
    Array.from(body.rows).forEach(function (row) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
      shown += row.hidden ? 0 : 1;
    });
    count.textContent = wanted ? ' ' + shown + ' of ' + body.rows.length + ' rows' : '';
  });
  table.closest('.scroll').before(bar);
});
