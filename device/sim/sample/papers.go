package sample

import "image/color"

// The papers' colours as a scanner sees them.
var (
	white    = color.RGBA{R: 250, G: 249, B: 246, A: 255}
	offWhite = color.RGBA{R: 246, G: 243, B: 234, A: 255}
	thermal  = color.RGBA{R: 240, G: 240, B: 243, A: 255}
)

// Inks.
var (
	black    = color.RGBA{R: 28, G: 28, B: 30, A: 255}
	blue     = color.RGBA{R: 36, G: 58, B: 140, A: 255} // a ballpoint pen
	burgundy = color.RGBA{R: 130, G: 34, B: 48, A: 255}
	green    = color.RGBA{R: 32, G: 96, B: 62, A: 255}
	steel    = color.RGBA{R: 40, G: 78, B: 120, A: 255}
)

// signature is written by hand; x and y are where it begins.
func signature(x, y float64) []stroke {
	name := stroke{0, 0, 3, -7, 5, -9, 5, -4, 4, 1, 6, -2, 8, -3, 9, 0, 11, -3, 13, 0, 15, -4, 16, -8, 17, -3, 18, 0, 20, -2, 22, 0, 25, -3, 28, -1, 33, -4}
	under := stroke{2, 3, 14, 2.4, 28, 1.2, 35, 0}
	for _, s := range []stroke{name, under} {
		for i := 0; i < len(s); i += 2 {
			s[i] += x
			s[i+1] += y
		}
	}
	return []stroke{name, under}
}

// blank is a side without print.
func blank(width, height float64) paper {
	return paper{name: "blank", width: width, height: height, tint: white, skew: 0.3}
}

const (
	a4Width, a4Height           = 210, 297
	receiptWidth, receiptHeight = 80, 210
)

// papers is the stack in feed order.
var papers = []struct{ front, back paper }{
	{letter, blank(a4Width, a4Height)},
	{invoice, terms},
	{german, blank(a4Width, a4Height)},
	{receipt, blank(receiptWidth, receiptHeight)},
	{upsideDown, blank(a4Width, a4Height)},
	{article, form},
}

var letter = paper{
	name: "letter", width: a4Width, height: a4Height, skew: 0.6, tint: white, pen: signature(27, 218),
	blocks: []block{
		{x: 25, y: 22, size: 10, rule: 14, mark: true, ink: burgundy},
		{x: 45, y: 28, size: 15, face: "bold", ink: burgundy, text: "Harbour Lane Bakery"},
		{x: 45, y: 34, size: 9, text: "17 Harbour Lane, Portwick PW4 2QT"},
		{x: 25, y: 60, size: 11, text: "Ms Eleanor Whitcombe\nThe Old Mill House\n3 Weir Street\nPortwick PW1 8BD"},
		{x: 140, y: 92, size: 11, text: "14 September 2026"},
		{x: 25, y: 108, size: 11, face: "bold", text: "Your order for the harvest supper"},
		{x: 25, y: 118, size: 11, text: `Dear Ms Whitcombe,

thank you for choosing us again this year. We are pleased to confirm
that one hundred and twenty rye loaves and forty plum tarts will be
delivered to the village hall on Saturday 3 October before ten o'clock.

As you asked, the tarts contain neither almonds nor hazelnuts. Our
driver will need a key to the side entrance; please leave it with the
caretaker on Friday evening.

The deposit of 150 pounds reached us on Monday. The balance falls due
within two weeks of the supper, and we shall send the bill then.

If anything changes, telephone the shop at 01632 960 418 between six in
the morning and two in the afternoon.

Yours sincerely,`},
		{x: 25, y: 227, size: 11, text: "Thomas Aldridge\nMaster baker"},
	},
}

var invoice = paper{
	name: "invoice", width: a4Width, height: a4Height, skew: -0.8, tint: white,
	blocks: []block{
		{x: 25, y: 25, size: 20, face: "bold", ink: steel, text: "INVOICE"},
		{x: 25, y: 36, size: 10, text: "Northgate Office Supplies Ltd\n88 Canal Street, Leeford LF2 9KN\nVAT number GB 123 4567 89"},
		{x: 130, y: 36, size: 10, text: "Invoice number: 2026-0417\nDate: 5 October 2026\nCustomer: 30551"},
		{x: 25, y: 66, size: 10, text: "Brightwater Dental Practice\n12 Queen Street\nLeeford LF1 4AB"},
		{x: 25, y: 95, size: 10, face: "bold", stops: []float64{-112, -148, -184}, text: "Description\tQuantity\tUnit price\tAmount", rule: 159},
		{x: 25, y: 106, size: 10, leading: 1.8, stops: []float64{-112, -148, -184}, rule: 159, text: "Copier paper, 500 sheets\t20\t4.15\t83.00\n" +
			"Box files, grey\t12\t3.40\t40.80\n" +
			"Printer toner, black\t2\t68.50\t137.00\n" +
			"Receipt rolls, 80 mm\t30\t1.10\t33.00"},
		{x: 130, y: 140, size: 10, leading: 1.6, stops: []float64{-184}, text: "Subtotal\t293.80\nVAT 20 %\t58.76"},
		{x: 130, y: 153, size: 11, face: "bold", stops: []float64{-184}, text: "Total\t352.56"},
		{x: 25, y: 175, size: 10, text: "Please pay within thirty days to account 41709925, sort code 20-45-91,\nand quote the invoice number. Thank you for your business."},
	},
}

var terms = paper{
	name: "terms", width: a4Width, height: a4Height, skew: -0.5, tint: white,
	blocks: []block{
		{x: 25, y: 25, size: 12, face: "bold", text: "Terms of delivery"},
		{x: 25, y: 36, size: 8.5, leading: 1.5, text: `1. Goods remain our property until they have been paid for in full.
2. Delivery takes place on working days between eight and five o'clock. A fixed hour can be agreed
for an additional charge.
3. Damage that can be seen from outside must be noted on the delivery slip before it is signed.
Hidden damage must be reported within seven days.
4. Unopened goods may be returned within thirty days. The cost of returning them is borne by the
customer unless the wrong goods were sent.
5. Toner and other consumables are excluded from return once their seal is broken.
6. Prices hold until the end of the quarter in which the offer was made.
7. If a payment is late we may charge interest of two per cent a month from the day it was due.
8. Should one of these terms prove to be void, the others remain in force.`},
	},
}

var german = paper{
	name: "brief", width: a4Width, height: a4Height, skew: 1.1, tint: offWhite, pen: signature(26, 207),
	blocks: []block{
		{x: 25, y: 28, size: 13, face: "bold", ink: green, text: "Gärtnerei Lindenhof"},
		{x: 25, y: 34, size: 9, text: "Mühlenweg 9, 37083 Göttingen"},
		{x: 25, y: 60, size: 11, text: "Herrn\nJürgen Weißmann\nAm Schäferbrunnen 21\n37085 Göttingen"},
		{x: 140, y: 92, size: 11, text: "2. November 2026"},
		{x: 25, y: 108, size: 11, face: "bold", text: "Pflege Ihrer Obstbäume im Winter"},
		{x: 25, y: 118, size: 11, text: `Sehr geehrter Herr Weißmann,

wie besprochen schneiden wir Ihre sieben Apfelbäume und die beiden
Birnbäume in der zweiten Januarwoche, sofern kein strenger Frost
herrscht. Die Äste häckseln wir vor Ort; auf Wunsch lassen wir Ihnen
das Holz für den Ofen zurück.

Für die Arbeiten berechnen wir einen Festpreis von 480 Euro. Darin
sind Anfahrt, Geräte und die Behandlung größerer Schnittflächen
enthalten.

Bitte geben Sie uns bis zum 15. Dezember Bescheid, ob Ihnen der
Termin passt. Sie erreichen uns täglich außer sonntags.

Mit freundlichen Grüßen`},
		{x: 25, y: 216, size: 11, text: "Käthe Brömmel"},
	},
}

var receipt = paper{
	name: "receipt", width: receiptWidth, height: receiptHeight, skew: -0.4, tint: thermal,
	blocks: []block{
		{x: 18, y: 14, size: 13, face: "bold", text: "CORNER MARKET"},
		{x: 14, y: 21, size: 9, face: "mono", text: "5 Station Road, Leeford"},
		{x: 8, y: 34, size: 9, face: "mono", leading: 1.6, stops: []float64{-69}, text: "Milk 2 l\t1.85\nBread, wholemeal\t2.20\nEggs, free range\t2.95\nCoffee 500 g\t6.49\nBananas 0.84 kg\t1.26\nDish soap\t1.75"},
		{x: 8, y: 76, size: 10, face: "bold", stops: []float64{-69}, text: "TOTAL\t16.50"},
		{x: 8, y: 86, size: 9, face: "mono", leading: 1.6, stops: []float64{-69}, text: "Cash\t20.00\nChange\t3.50"},
		{x: 8, y: 106, size: 9, face: "mono", leading: 1.6, text: "Till 3  Server: Maria\n12 October 2026  17:42\nThank you for shopping"},
	},
}

var upsideDown = paper{
	name: "minutes", width: a4Width, height: a4Height, skew: 0.4, turned: true, tint: white,
	blocks: []block{
		{x: 25, y: 30, size: 16, face: "bold", text: "Minutes of the allotment meeting"},
		{x: 25, y: 40, size: 11, text: "Held in the reading room on 9 October 2026, half past seven"},
		{x: 25, y: 55, size: 11, text: `The chair welcomed twenty-three members and thanked the hedge
party for its work in the summer.

The treasurer reported a balance of 1,284 pounds. Repairs to the
water pipe cost less than expected, so that the rent of the plots can
stay as it is for another year.

It was agreed by eighteen votes to five that bonfires are allowed in
November only, and never while the washing of the neighbours is out.

Two new members were given the plots beside the railway bank. They
asked for help with the brambles; a working day was fixed for the
last Saturday of the month.

The meeting closed at nine with tea and parsnip cake.`},
		{x: 25, y: 170, size: 11, text: "Agnes Porterfield, secretary"},
	},
}

var article = paper{
	name: "article", width: a4Width, height: a4Height, skew: 0.2, tint: offWhite,
	blocks: []block{
		{x: 20, y: 28, size: 22, face: "bold", text: "The clock that kept its own time"},
		{x: 20, y: 46, size: 10, leading: 1.5, text: `For ninety years the tower clock of
Portwick was four minutes fast, and
nobody minded. Trains were caught
because of it, schools began a little
early, and the ferry left when the
clock said so.

Last spring the parish council had
the works cleaned. The clockmaker, a
patient man from the next county,
took out two jackdaws' nests and a
spoon, and set the hands right.`},
		{x: 112, y: 46, size: 10, leading: 1.5, text: `Within a week the complaints came.
The baker's first loaves were late,
the ferry waited for no one, and the
schoolmistress found her classroom
empty at nine.

In June a vote was taken. By a large
majority the town asked for its old
time back. The clock now runs four
minutes fast once more, and the
spoon hangs beside it on a nail.`},
	},
}

var form = paper{
	name: "form", width: a4Width, height: a4Height, skew: 0.2, tint: offWhite,
	blocks: []block{
		{x: 20, y: 28, size: 15, face: "bold", text: "Application for a library card"},
		{x: 20, y: 45, size: 11, leading: 2.6, stops: []float64{75}, text: "Family name:\tHollander\nFirst name:\tMiriam\nStreet:\t44 Orchard Rise\nTown:\tPortwick\nDate of birth:\t21 March 1988\nTelephone:\t01632 960 733"},
		{x: 20, y: 125, size: 10, text: "I have read the rules of the library and will return all books in time.", rule: 120},
	},
}
